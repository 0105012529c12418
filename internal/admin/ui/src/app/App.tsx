import { Center, Loader, MantineProvider, Stack } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { useEffect } from 'react';

import { queries } from '../api/queries';
import { askSession, useSession } from '../session/session';
import { SignIn } from '../session/SignIn';
import { ProblemAlert } from '../shared/ProblemAlert';
import { loadScreen, router } from './router';
import { theme } from './theme';

export function App() {
  return (
    // Without variables and classes of its own: the provider would write them in style elements, which the policy forbids.
    <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
      <QueryClientProvider client={queries}>
        <Notifications />
        <Gate />
      </QueryClientProvider>
    </MantineProvider>
  );
}

/** Lets through who has signed in. */
function Gate() {
  const session = useSession();
  useEffect(() => {
    void askSession();
    loadScreen(); // beside the question: a reader who has signed in waits for both
  }, []);
  useEffect(() => {
    if (session.state === 'out') {
      queries.clear(); // what was read belongs to who has left
    }
  }, [session.state]);
  switch (session.state) {
    case 'asking':
      return <Center mih="100vh"><Loader aria-label="Loading" /></Center>;
    case 'unknown':
      return (
        <Center component="main" mih="100vh" p="md">
          <Stack maw={480}><ProblemAlert error={session.problem} retry={() => void askSession()} /></Stack>
        </Center>
      );
    case 'out':
      return <SignIn why={session.why} />;
    case 'in':
      return <RouterProvider router={router} />;
  }
}
