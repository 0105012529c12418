import { Anchor, Button, CloseButton, Group, Paper, PasswordInput, Select, Stack, Text, TextInput, ThemeIcon, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconCheck } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef, useState, type ReactNode } from 'react';

import { $api, idempotencyKey, type Schemas } from '../../api/client';
import { useInfo } from '../../api/info';
import { keyOf } from '../../api/queries';
import type { Problem } from '../../api/problem';
import { takeFieldErrors } from '../../shared/formErrors';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { Snippets } from '../../shared/Snippets';
import { TableSkeleton } from '../../shared/Skeletons';

/** How often the first request is looked for, in milliseconds. */
const look = 1500;

interface Made {
  token: Schemas['MintedToken'];
  provider: string | undefined;
}

/** From nothing to the first request: a project and a token, a snippet to paste, and the request itself, which is seen when it comes. */
export function QuickStart({ empty, onClose }: { empty: boolean; onClose: () => void }) {
  const [made, setMade] = useState<Made>(); // in memory alone, as the token is
  const tokens = $api.useQuery('get', '/manage/tokens', { params: { query: { limit: 1 } } });
  const projects = $api.useQuery('get', '/manage/projects', activeProjects);
  const ready = !tokens.isPending && !projects.isPending; // what is above the later steps has its size: they come then, and stay where they are
  const [wasEmpty] = useState(empty);
  const waits = !!made || (wasEmpty && (tokens.data?.length ?? 0) > 0); // without a token nobody can ask
  const [seen, setSeen] = useState<Schemas['Request']>();
  const queries = useQueryClient();
  const requests = $api.useQuery(
    'get', '/manage/requests', { params: { query: { limit: 1, token_id: made?.token.id } } }, { enabled: waits && !seen, refetchInterval: look, staleTime: 0 },
  );
  const newest = waits ? (requests.data as Schemas['Request'][] | undefined)?.[0] : undefined; // the text of an export is not asked for
  useEffect(() => {
    if (newest && !seen) {
      setSeen(newest);
      void queries.invalidateQueries({ queryKey: keyOf('/manage/requests') }); // there is something to show below
      void queries.invalidateQueries({ queryKey: keyOf('/manage/usage') });
    }
  }, [newest, seen, queries]);

  return (
    <Paper withBorder p="lg" component="section" aria-label="Quick start">
      <Group justify="space-between" mb="md">
        <Title order={2} size="h4">Quick start</Title>
        <CloseButton aria-label="Close the quick start" onClick={onClose} />
      </Group>
      <Stack component="ol" gap="lg" m={0} p={0} style={{ listStyle: 'none' }}>
        <Step n={1} title="Create a project and a token" done={!!made || !!seen}>
          {made ? <Text size="sm" className="wrap">The token {made.token.name} is good for a day. It is shown here and never again.</Text> : !seen && <Create onMade={setMade} />}
        </Step>
        {ready && (
          <>
            <Step n={2} title="Copy a snippet and run it" done={!!seen}>
              {made ? <Snippets token={made.token.token} provider={made.provider} /> : waits && !seen ? <Snippets /> : null}
            </Step>
            <Step n={3} title="See the first request" done={!!seen}>
              {seen ? (
                <Text size="sm" role="status">
                  Request <Anchor inherit underline="always" renderRoot={(props) => <Link to="/requests" search={{ open: seen.id }} {...props} />}>{seen.id}</Anchor> has arrived. Everything works.
                </Text>
              ) : waits && <Text size="sm" c="dimmed">Waiting for it: this ticks itself off a moment after the snippet has run.</Text>}
              <ProblemAlert error={requests.error ?? tokens.error} retry={() => { void requests.refetch(); void tokens.refetch(); }} />
              {seen && <Button w="fit-content" onClick={onClose}>Done</Button>}
            </Step>
          </>
        )}
      </Stack>
    </Paper>
  );
}

function Step({ n, title, done, children }: { n: number; title: string; done: boolean; children: ReactNode }) {
  return (
    <li aria-label={`${title}${done ? ', done' : ''}`}>
      <Group align="flex-start" wrap="nowrap" gap="sm">
        <ThemeIcon radius="xl" variant="light" color={done ? 'green' : 'gray'} aria-hidden>{done ? <IconCheck size={16} /> : n}</ThemeIcon>
        <Stack gap="xs" flex={1} miw={0}>
          <Title order={3} size="h5" lh="28px">{title}</Title>
          {children}
        </Stack>
      </Group>
    </li>
  );
}

const activeProjects = { params: { query: { active: true, limit: 100 } } };
const newOne = '';

/** Makes a token in a project that is there or is made too. What was made stays made if the rest fails, and is not made again. */
function Create({ onMade }: { onMade: (made: Made) => void }) {
  const info = useInfo();
  const projects = $api.useQuery('get', '/manage/projects', activeProjects);
  const read = useRef(false); // what is remembered from before the first project was made is not the list: the form begins with what is there
  read.current ||= !projects.isFetching || (projects.data?.length ?? 0) > 0;
  if (projects.error || !projects.data || !info.data || !read.current) {
    return projects.error ? <ProblemAlert error={projects.error} retry={() => void projects.refetch()} /> : <TableSkeleton label="projects" rows={2} />;
  }
  return <CreateForm projects={projects.data} demo={info.data.demo} onMade={onMade} />;
}

function CreateForm({ projects, demo, onMade }: { projects: Schemas['Project'][]; demo: boolean; onMade: (made: Made) => void }) {
  const [key] = useState(idempotencyKey);
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const createProject = $api.useMutation('post', '/manage/projects');
  const mint = $api.useMutation('post', '/manage/tokens');
  const form = useForm({
    initialValues: { project: projects[0]?.project_id ?? newOne, name: 'First project', api_key: '' },
    validate: {
      name: (name, { project }) => (project === newOne && !name.trim() ? 'A project needs a name' : null),
      api_key: (key, { project }) => (project === newOne && !key.trim() ? 'A project needs the key of its provider' : null),
    },
  });
  const create = async ({ project, name, api_key }: typeof form.values) => {
    setProblem(undefined);
    setBusy(true);
    try {
      const into = projects.find(({ project_id }) => project_id === project)
        ?? await createProject.mutateAsync({ params: { header: { 'Idempotency-Key': key } }, body: { name: name.trim(), api_key: api_key.trim() } });
      const token = await mint.mutateAsync({ body: { project_id: into.project_id, name: 'Quick start', duration_minutes: 24 * 60 } });
      onMade({ token, provider: into.provider });
    } catch (error) {
      setProblem(takeFieldErrors(form, ['name', 'api_key'], error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={form.onSubmit((values) => void create(values))} noValidate>
      <Stack gap="sm" maw={480}>
        {projects.length > 0 && (
          <Select
            label="Project" allowDeselect={false} data={[...projects.map(({ project_id, name }) => ({ value: project_id, label: name })), { value: newOne, label: 'A new project' }]}
            {...form.getInputProps('project')}
          />
        )}
        {form.values.project === newOne && (
          <>
            <TextInput label="Name of the project" maxLength={100} {...form.getInputProps('name')} />
            <PasswordInput visibilityToggleFocusable
              label="Provider key" autoComplete="off"
              description={demo ? 'The demo provider takes any: sk-fake-demo, for example.' : 'It goes in and never comes out: nobody sees it again but for its last four characters.'}
              {...form.getInputProps('api_key')}
            />
          </>
        )}
        <ProblemAlert error={problem} />
        <Button type="submit" w="fit-content" loading={busy}>{form.values.project === newOne ? 'Create project and token' : 'Create token'}</Button>
      </Stack>
    </form>
  );
}
