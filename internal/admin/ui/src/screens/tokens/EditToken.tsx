import { Button, Drawer, Group, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';

import { $api, ifMatch } from '../../api/client';
import { useInfo } from '../../api/info';
import { Problem, toProblem } from '../../api/problem';
import { takeFieldErrors } from '../../shared/formErrors';
import { formatTime } from '../../shared/format';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { toast } from '../../shared/toast';
import { CapFields } from './CapFields';
import { EndingField } from './EndingField';
import { endingError, endingProblem, titleOf, tokenChange, tokenFields, valuesOf, type Token, type TokenValues } from './token';

const aYear = 525_600; // minutes; what the server says where it has not answered yet

/** Changes a token's name, end and caps. */
export function EditToken({ token, onClose }: { token: Token | undefined; onClose: () => void }) {
  return (
    <Drawer opened={!!token} onClose={onClose} title="Extend or change token">
      {token && <Form key={token.id} token={token} onClose={onClose} />}
    </Drawer>
  );
}

function Form({ token, onClose }: { token: Token; onClose: () => void }) {
  const longest = useInfo().data?.limits.max_duration_minutes ?? aYear;
  const form = useForm<TokenValues>({ initialValues: valuesOf(token), validate: { ending: (ending) => endingError(ending, longest) } });
  const [problem, setProblem] = useState<Problem>();
  const change = $api.useMutation('patch', '/manage/tokens/{id}');
  const failed = (error: unknown) =>
    setProblem(
      toProblem(error).status === 412
        ? new Problem({ status: 412, title: 'Somebody else has changed this token', detail: 'Close this form and open it again to see what it is now.' })
        : takeFieldErrors(form, tokenFields, endingProblem(error)),
    );
  const save = (values: TokenValues) => {
    setProblem(undefined);
    change.mutate(
      { params: { path: { id: token.id }, header: ifMatch(token) }, body: tokenChange(token, values) },
      { onError: failed, onSuccess: (saved) => { toast(<><bdi>{titleOf(saved)}</bdi> is saved.</>); onClose(); } },
    );
  };
  return (
    <form onSubmit={form.onSubmit(save)} noValidate>
      <Stack>
        <TextInput label="Name" maxLength={100} {...form.getInputProps('name')} />
        <EndingField label="Ends" keep={`As it is: ${formatTime(token.expires_at)}`} longestMinutes={longest} {...form.getInputProps('ending')} value={form.values.ending} />
        <CapFields form={form} />
        <ProblemAlert error={problem} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>Cancel</Button>
          <Button type="submit" loading={change.isPending}>Save</Button>
        </Group>
      </Stack>
    </form>
  );
}
