import { ActionIcon, Button, Checkbox, Fieldset, Group, Input, PasswordInput, Select, Stack, TextInput, Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconPlus, IconX } from '@tabler/icons-react';
import { useState } from 'react';

import { $api, idempotencyKey, ifMatch, type Schemas } from '../../api/client';
import { useInfo } from '../../api/info';
import { Problem, toProblem } from '../../api/problem';
import { takeFieldErrors } from '../../shared/formErrors';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { toast } from '../../shared/toast';
import { keyText } from './columns';
import { metadataError, newProject, projectChange, projectFields, valuesOf, type ProjectValues } from './project';

export function ProjectForm({ project, onDone }: { project?: Schemas['Project']; onDone: () => void }) {
  const info = useInfo();
  if (!info.data) {
    return <ProblemAlert error={info.error} retry={() => void info.refetch()} />;
  }
  return <Form project={project} info={info.data} onDone={onDone} />;
}

function Form({ project: now, info, onDone }: { project: Schemas['Project'] | undefined; info: Schemas['Info']; onDone: () => void }) {
  const [project] = useState(now); // as it was when the form began: the list is read anew below it, and what another one has changed since is not ours to change back
  const form = useForm<ProjectValues>({
    initialValues: valuesOf(project, info.default_provider),
    validate: { name: (name) => (name.trim() ? null : 'A project needs a name'), metadata: metadataError },
  });
  const [key] = useState(idempotencyKey); // a form makes one project, however often it is sent
  const [problem, setProblem] = useState<Problem>();
  const create = $api.useMutation('post', '/manage/projects');
  const change = $api.useMutation('patch', '/manage/projects/{id}');
  const { metadata } = form.getValues();

  const failed = (error: unknown) =>
    setProblem(
      toProblem(error).status === 412
        ? new Problem({ status: 412, title: 'Somebody else has changed this project', detail: 'Close this form and open it again to see what it is now.' })
        : takeFieldErrors(form, projectFields, error),
    );
  const save = (values: ProjectValues) => {
    setProblem(undefined);
    const done = { onError: failed, onSuccess: () => { toast(<><bdi>{values.name}</bdi> is {project ? 'saved' : 'created'}.</>); onDone(); } };
    if (project) {
      change.mutate({ params: { path: { id: project.project_id }, header: ifMatch(project) }, body: projectChange(project, values) }, done);
    } else {
      create.mutate({ params: { header: { 'Idempotency-Key': key } }, body: newProject(values) }, done);
    }
  };

  return (
    <form onSubmit={form.onSubmit(save)} noValidate>
      <Stack>
        <TextInput label="Name" required maxLength={100} data-autofocus {...form.getInputProps('name')} />
        <Textarea label="Description" maxLength={500} rows={2} {...form.getInputProps('description')} />
        <Select label="Provider" allowDeselect={false} data={info.providers.map(({ name }) => name)} {...form.getInputProps('provider')} />
        <PasswordInput visibilityToggleFocusable
          label="Provider key" autoComplete="off" placeholder={project ? `${keyText(project)} stays as it is` : undefined}
          description={project ? 'Write a new one to replace it. Nobody sees it again but for its last four characters.' : 'It goes in and never comes out: nobody sees it again but for its last four characters.'}
          {...form.getInputProps('api_key')}
        />
        <TextInput label="Name of a secret" description="Instead of the key: the secret that holds it." autoComplete="off" {...form.getInputProps('api_key_ref')} />
        <Select
          label="Capture" description="What events carry of requests and answers." allowDeselect={false}
          data={[{ value: '', label: 'As the installation is set' }, { value: 'full', label: 'Full: bodies too' }, { value: 'metadata', label: 'Metadata: no body leaves the proxy' }]}
          {...form.getInputProps('capture')}
        />
        <Checkbox.Group label="Endpoints" description="What its tokens may call." {...form.getInputProps('endpoints')}>
          <Stack gap="xs" mt="xs">
            <Checkbox value="inference" label="Inference: completions, embeddings, images and the like" />
            <Checkbox value="stored" label="Stored: what the provider keeps, such as files and batches" />
          </Stack>
        </Checkbox.Group>
        <Fieldset legend="Metadata">
          <Stack gap="xs">
            {metadata.map((_, i) => (
              <Group key={i} wrap="nowrap" align="flex-start">
                <TextInput flex={1} aria-label={`Key ${i + 1}`} placeholder="Key" maxLength={40} {...form.getInputProps(`metadata.${i}.key`)} />
                <TextInput flex={1} aria-label={`Value ${i + 1}`} placeholder="Value" maxLength={100} {...form.getInputProps(`metadata.${i}.value`)} />
                <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Remove entry ${i + 1}`} onClick={() => form.removeListItem('metadata', i)}><IconX size={16} /></ActionIcon>
              </Group>
            ))}
            {form.errors.metadata && <Input.Error>{form.errors.metadata}</Input.Error>}
            <Button variant="default" size="xs" w="fit-content" leftSection={<IconPlus size={14} />} disabled={metadata.length >= 20} onClick={() => form.insertListItem('metadata', { key: '', value: '' })}>
              Add entry
            </Button>
          </Stack>
        </Fieldset>
        <ProblemAlert error={problem} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onDone}>Cancel</Button>
          <Button type="submit" loading={create.isPending || change.isPending}>{project ? 'Save' : 'Create project'}</Button>
        </Group>
      </Stack>
    </form>
  );
}
