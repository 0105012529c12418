import { Button, Group, PasswordInput, Stack } from '@mantine/core';
import { useState } from 'react';

import { $api } from '../../api/client';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { ProjectSelect, useProject } from '../../shared/projects';

const minutes = 15;

/** The token of the playground: one that is pasted, or a new one of a project. Secrets of tokens that are there cannot be read back. */
export function TokenChoice({ token, onToken }: { token: string; onToken: (token: string, provider?: string) => void }) {
  const [id, setID] = useState<string>();
  const project = useProject(id);
  const mint = $api.useMutation('post', '/manage/tokens', { gcTime: 0 }); // the secret is kept nowhere
  const make = () => project && mint.mutate(
    { body: { project_id: project.project_id, duration_minutes: minutes, name: 'Playground' } },
    { onSuccess: (minted) => { onToken(minted.token, project.provider); mint.reset(); } },
  );
  return (
    <Stack gap="sm">
      <PasswordInput visibilityToggleFocusable
        label="Token" autoComplete="off" placeholder="sk-llmp-…" description="It stays in the memory of this page and is gone when you leave it." value={token}
        onChange={(event) => onToken(event.currentTarget.value)}
      />
      <Group align="flex-end" gap="sm">
        <ProjectSelect label="Or a new one of a project" placeholder="Project" value={id} onChange={setID} />
        <Button variant="default" disabled={!project} loading={mint.isPending} onClick={make}>Make one for {minutes} minutes</Button>
      </Group>
      <ProblemAlert error={mint.error} />
    </Stack>
  );
}
