import { Center, Loader, MantineProvider, Stack } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { Activity, useEffect, useRef } from 'react';

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

/** Lets through who has signed in. While a session is over its screens are hidden, as they are, so that nothing is lost that was typed; they go when somebody signs out. */
function Gate() {
  const session = useSession();
  const waits = useRef(false); // a session is over, and its screens wait for the next
  useEffect(() => {
    void askSession();
    loadScreen(); // beside the question: a reader who has signed in waits for both
  }, []);
  useEffect(() => {
    if (session.state === 'out' && session.why !== 'ended') {
      queries.clear(); // what was read belongs to who has left
    } else if (session.state === 'in' && waits.current) { // what is there is old, and the address may be another
      void queries.invalidateQueries();
      void router.load();
    }
    waits.current = session.state === 'out' && session.why === 'ended';
  }, [session]);
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
    case 'in': {
      const over = session.state === 'out';
      return (
        <>
          {over && <SignIn why={session.why} />}
          {(!over || session.why === 'ended') && <Activity mode={over ? 'hidden' : 'visible'}><RouterProvider router={router} /></Activity>}
        </>
      );
    }
  }
}
