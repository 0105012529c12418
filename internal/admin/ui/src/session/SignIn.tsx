import { Alert, Button, Card, Center, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useEffect, useRef, useState, type FormEvent } from 'react';

import { toProblem, type Problem } from '../api/problem';
import { Logo } from '../app/Logo';
import { useTitle } from '../app/Page';
import { signIn } from './session';

const said = {
  fresh: undefined,
  ended: 'Your session is over: it ends after 30 minutes without use, or 12 hours after sign-in. Sign in to go on where you were.',
  left: 'You have signed out.',
};

/** The form that is shown instead of any screen while nobody has signed in. The address stays, so that sign-in leads to the screen that was asked for. */
export function SignIn({ why }: { why: keyof typeof said }) {
  const [user, setUser] = useState('admin');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [wait, setWait] = useState(0); // seconds
  const field = useRef<HTMLInputElement>(null);
  useTitle('Sign in');

  useEffect(() => {
    if (wait <= 0) {
      return undefined;
    }
    const tick = setTimeout(() => setWait(wait - 1), 1000);
    return () => clearTimeout(tick);
  }, [wait]);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn(user, password);
    } catch (thrown) {
      const p = toProblem(thrown);
      setProblem(p);
      setWait(p.status === 429 ? (p.retryAfter ?? 60) : 0);
      setPassword('');
      field.current?.focus(); // the button, which may have had the focus, cannot be pressed while it waits
    } finally {
      setBusy(false);
    }
  };

  return (
    <Center component="main" mih="100vh" p="md">
      <Card withBorder padding="xl" w="100%" maw={380}>
        <form onSubmit={(event) => void submit(event)}>
          <Stack>
            <Logo />
            <Title order={1} size="h3">Sign in</Title>
            {said[why] && <Alert color="indigo">{said[why]}</Alert>}
            <TextInput label="User" name="user" autoComplete="username" required value={user} onChange={(event) => setUser(event.currentTarget.value)} />
            <PasswordInput ref={field} visibilityToggleFocusable label="Password" name="password" autoComplete="current-password" required autoFocus value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
            {problem && (
              <Alert color="red" role="alert">
                {problem.status === 429 ? (wait > 0 ? `Too many failures. Try again in ${wait} s.` : 'You can try again now.') : problem.detail}
              </Alert>
            )}
            <Button type="submit" loading={busy} disabled={wait > 0}>Sign in</Button>
            <Text size="xs" c="dimmed">
              User and password are ADMIN_USER and ADMIN_PASSWORD of the server. Without them, <code>llm-proxy setup</code> or <code>server --demo</code> has made the password: it lies in{' '}
              <code>keys.json</code> in the data folder.
            </Text>
          </Stack>
        </form>
      </Card>
    </Center>
  );
}
