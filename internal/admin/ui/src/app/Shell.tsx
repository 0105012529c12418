import { Burger, Button, Drawer, Kbd, Stack, UnstyledButton } from '@mantine/core';
import { spotlight } from '@mantine/spotlight';
import { IconSearch } from '@tabler/icons-react';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';

import { useInfo } from '../api/info';
import { rememberFocus } from './focus';
import { Help } from './Help';
import { useKeys } from './keys';
import { Logo } from './Logo';
import { AccountMenu, SchemeMenu } from './Menus';
import { nav } from './nav';
import { Palette } from './Palette';
import classes from './Shell.module.css';

/** What is around every screen. */
export function Shell() {
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const last = useRef(pathname);
  useKeys({ onHelp: () => setHelp(true) });
  useEffect(rememberFocus, []);
  useEffect(() => {
    if (last.current !== pathname) { // a reader of the page's text begins with the new screen
      last.current = pathname;
      setMenu(false);
      main.current?.focus();
      window.scrollTo(0, 0);
    }
  }, [pathname]);

  return (
    <>
      {/* no link: the address is the router's */}
      <UnstyledButton className={classes.skip} onClick={() => main.current?.focus()}>Skip to content</UnstyledButton>
      <header className={classes.header}>
        <div className={classes.bar}>
          <Burger hiddenFrom="lg" size="sm" opened={menu} onClick={() => setMenu(!menu)} aria-label="Menu" aria-expanded={menu} />
          <Link to="/" className={classes.home} aria-label="llm-proxy, start"><Logo /></Link>
          <nav aria-label="Screens" className="mantine-visible-from-lg"><NavLinks /></nav>
          <span className={classes.spacer} />
          <Button variant="default" size="xs" leftSection={<IconSearch size={14} />} rightSection={<Kbd size="xs" aria-hidden>{isMac ? '⌘K' : 'Ctrl K'}</Kbd>} onClick={spotlight.open} visibleFrom="sm">
            Find
          </Button>
          <SchemeMenu />
          <AccountMenu onHelp={() => setHelp(true)} />
        </div>
      </header>
      <Drawer opened={menu} onClose={() => setMenu(false)} title="Menu" position="left" size="xs">
        <nav aria-label="Screens"><Stack gap={4}><NavLinks column /></Stack></nav>
      </Drawer>
      <main ref={main} tabIndex={-1} className={classes.main}><Outlet /></main>
      <DemoBanner />
      <Palette />
      <Help opened={help} onClose={() => setHelp(false)} />
    </>
  );
}

const isMac = /mac|iphone|ipad/i.test(navigator.userAgent);

function NavLinks({ column }: { column?: boolean }) {
  return (
    <ul className={column ? undefined : classes.links} style={column ? { listStyle: 'none', margin: 0, padding: 0 } : undefined}>
      {nav.map(({ to, label }) => <li key={to}><Link to={to} className={classes.link}>{label}</Link></li>)}
    </ul>
  );
}

/** Says that answers are made up here, where they are. It is known a moment after the page, which it would push down from above. */
function DemoBanner() {
  const { data } = useInfo();
  return data?.demo ? (
    <aside aria-label="Demo" className={classes.banner}>
      <div role="note">The demo provider is on: answers are made up on this machine and cost nothing. Costs that are shown are what OpenAI asks for the same.</div>
    </aside>
  ) : null;
}
