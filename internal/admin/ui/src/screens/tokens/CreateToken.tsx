import { Button, Drawer, Group, Skeleton, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { Link } from '@tanstack/react-router';
import { useEffect, useState } from 'react';

import { $api, type Schemas } from '../../api/client';
import { useInfo } from '../../api/info';
import type { Problem } from '../../api/problem';
import { takeFieldErrors } from '../../shared/formErrors';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { ProjectSelect } from '../../shared/projects';
import { CapFields } from './CapFields';
import { EndingField } from './EndingField';
import { endingError, endingProblem, newToken, tokenFields, type NewTokenValues } from './token';

interface Props {
  project: string | undefined; // what the form begins with
  onClose: () => void;
  onMinted: (minted: Schemas['MintedToken']) => void;
}

/** The form of a new token. */
export function CreateToken({ opened, ...props }: Props & { opened: boolean }) {
  const info = useInfo();
  return (
    <Drawer opened={opened} onClose={props.onClose} title="Create token">
      {info.data ? <Form limits={info.data.limits} {...props} /> : <Waiting error={info.error} retry={() => void info.refetch()} />}
    </Drawer>
  );
}

function Waiting({ error, retry }: { error: unknown; retry: () => void }) {
  return error ? <ProblemAlert error={error} retry={retry} /> : <Stack>{[1, 2, 3].map((n) => <Skeleton key={n} height={48} />)}</Stack>;
}

function Form({ limits, project, onClose, onMinted }: Props & { limits: Schemas['Info']['limits'] }) {
  const form = useForm<NewTokenValues>({
    initialValues: {
      project_id: project ?? '', name: '', ending: { choice: '60', at: '' }, max_requests: limits.default_max_requests ?? '', requests_per_hour: limits.default_requests_per_hour,
    },
    validate: {
      project_id: (id) => (id ? null : 'A token belongs to a project'),
      ending: (ending) => endingError(ending, limits.max_duration_minutes),
    },
  });
  const projects = $api.useQuery('get', '/manage/projects', {});
  const only = projects.data?.length === 1 ? projects.data[0]?.project_id : undefined;
  useEffect(() => {
    if (only && !form.getValues().project_id) {
      form.setFieldValue('project_id', only);
    }
  }, [only, form]);
  const [problem, setProblem] = useState<Problem>();
  const mint = $api.useMutation('post', '/manage/tokens', { gcTime: 0 }); // the secret is kept nowhere

  const save = (values: NewTokenValues) => {
    setProblem(undefined);
    mint.mutate({ body: newToken(values) }, { onSuccess: onMinted, onError: (error) => setProblem(takeFieldErrors(form, ['project_id', ...tokenFields], endingProblem(error))) });
  };
  return (
    <form onSubmit={form.onSubmit(save)} noValidate>
      <Stack>
        <ProjectSelect
          label="Project" required placeholder="Whose key it spends" data-autofocus openOnFocus={false} {...form.getInputProps('project_id')}
          value={form.values.project_id || undefined} onChange={(id) => form.setFieldValue('project_id', id ?? '')}
          description={projects.data?.length === 0 ? <>There is none yet: <Link to="/projects" search={{ edit: 'new' }}>create a project</Link> first.</> : undefined}
        />
        <TextInput label="Name" description="Who or what will use it." maxLength={100} {...form.getInputProps('name')} />
        <EndingField label="Expires after" longestMinutes={limits.max_duration_minutes} {...form.getInputProps('ending')} value={form.values.ending} />
        <CapFields form={form} />
        <ProblemAlert error={problem} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>Cancel</Button>
          <Button type="submit" loading={mint.isPending}>Create token</Button>
        </Group>
      </Stack>
    </form>
  );
}
