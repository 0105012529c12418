import { createHashHistory, createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect, retainSearchParams } from '@tanstack/react-router';

import { toProblem } from '../api/problem';
import { queries } from '../api/queries';
import { ProblemAlert } from '../shared/ProblemAlert';
import { TableSkeleton } from '../shared/Skeletons';
import { parseRange } from '../shared/timeRange';
import { askAhead } from '../screens/overview/questions';
import { parseOverviewSearch } from '../screens/overview/search';
import { parseProjectsSearch } from '../screens/projects/search';
import { parseTokensSearch } from '../screens/tokens/search';
import { parseRequestsSearch } from '../screens/requests/search';
import { parseAuditSearch } from '../screens/audit/search';
import { NotFound } from './NotFound';
import { Page } from './Page';
import { Shell } from './Shell';

// The screens. Each is a chunk of its own, which is loaded when somebody goes there; what its address means is known before.

/** A screen by its code. Where that does not come the router loads the page anew, as a new version has other files; but not where nothing answers. */
function screen<M extends Record<string, unknown>, N extends keyof M & string>(load: () => Promise<M>, name: N) {
  return lazyRouteComponent(() => load().catch(async (error: unknown) => {
    throw await window.fetch('./', { method: 'HEAD' }).then(() => error, toProblem);
  }), name);
}

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
  validateSearch: parseRange, // the time range is that of all screens
  search: { middlewares: [retainSearchParams(['range', 'from', 'to'])] },
});

const index = createRoute({ getParentRoute: () => root, path: '/', beforeLoad: ({ search }) => { throw redirect({ to: '/overview', search }); } });

const overview = createRoute({
  getParentRoute: () => root,
  path: '/overview',
  validateSearch: parseOverviewSearch,
  loaderDeps: ({ search }) => search,
  loader: ({ deps }) => void askAhead(queries, deps), // nobody waits for it here: what has come is there when the screen asks
  component: screen(() => import('../screens/overview/OverviewScreen'), 'OverviewScreen'),
});

const projects = createRoute({
  getParentRoute: () => root,
  path: '/projects',
  validateSearch: parseProjectsSearch,
  component: screen(() => import('../screens/projects/ProjectsScreen'), 'ProjectsScreen'),
});

const tokens = createRoute({
  getParentRoute: () => root,
  path: '/tokens',
  validateSearch: parseTokensSearch,
  component: screen(() => import('../screens/tokens/TokensScreen'), 'TokensScreen'),
});

const token = createRoute({
  getParentRoute: () => root,
  path: '/tokens/$id',
  component: screen(() => import('../screens/token/TokenScreen'), 'TokenScreen'),
});

const requests = createRoute({
  getParentRoute: () => root,
  path: '/requests',
  validateSearch: parseRequestsSearch,
  component: screen(() => import('../screens/requests/RequestsScreen'), 'RequestsScreen'),
});

const audit = createRoute({
  getParentRoute: () => root,
  path: '/audit',
  validateSearch: parseAuditSearch,
  component: screen(() => import('../screens/audit/AuditScreen'), 'AuditScreen'),
});

const delivery = createRoute({
  getParentRoute: () => root,
  path: '/delivery',
  component: screen(() => import('../screens/delivery/DeliveryScreen'), 'DeliveryScreen'),
});

const playground = createRoute({
  getParentRoute: () => root,
  path: '/playground',
  component: screen(() => import('../screens/playground/PlaygroundScreen'), 'PlaygroundScreen'),
});

const settings = createRoute({
  getParentRoute: () => root,
  path: '/settings',
  component: screen(() => import('../screens/settings/SettingsScreen'), 'SettingsScreen'),
});

export const router = createRouter({
  routeTree: root.addChildren([index, overview, projects, tokens, token, requests, audit, delivery, playground, settings]),
  history: createHashHistory(), // S3 has no rule that would answer other paths with the page
  defaultPreload: 'intent',
  defaultPendingComponent: () => <TableSkeleton label="the screen" />,
  defaultErrorComponent: ({ error, reset }) => (
    <Page title="Not loaded"><ProblemAlert error={error} retry={() => { reset(); void router.invalidate(); }} /></Page>
  ),
});

/** Loads the code of the screen that the address asks for; the router itself begins when somebody has signed in. */
export function loadScreen(): void {
  const { pathname } = router.latestLocation;
  for (const { routeId } of router.matchRoutes(pathname === '/' ? '/overview' : pathname)) {
    void router.loadRouteChunk(router.routesById[routeId])?.catch(() => undefined); // the router says so when it tries
  }
}

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
