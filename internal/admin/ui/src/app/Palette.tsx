import { useMantineColorScheme } from '@mantine/core';
import { Spotlight, type SpotlightActionGroupData } from '@mantine/spotlight';
import { IconLogout, IconMoon, IconPlus, IconSearch, IconSun } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';

import { leave } from './Menus';
import { nav } from './nav';

/** ⌘K: every screen, and what can be begun from anywhere. */
export function Palette() {
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme({ keepTransitions: true }); // holding them back would take a style element
  const actions: SpotlightActionGroupData[] = [
    { group: 'Screens', actions: nav.map(({ to, label, icon: Icon }) => ({ id: to, label, leftSection: <Icon size={18} />, onClick: () => void navigate({ to }) })) },
    {
      group: 'Actions',
      actions: [
        { id: 'new-project', label: 'Create a project', leftSection: <IconPlus size={18} />, onClick: () => void navigate({ to: '/projects', search: { edit: 'new' } }) },
        { id: 'new-token', label: 'Create a token', leftSection: <IconPlus size={18} />, onClick: () => void navigate({ to: '/tokens', search: { create: true } }) },
        { id: 'light', label: 'Light colours', leftSection: <IconSun size={18} />, onClick: () => setColorScheme('light') },
        { id: 'dark', label: 'Dark colours', leftSection: <IconMoon size={18} />, onClick: () => setColorScheme('dark') },
        { id: 'sign-out', label: 'Sign out', leftSection: <IconLogout size={18} />, onClick: leave },
      ],
    },
  ];
  return (
    <Spotlight
      actions={actions} nothingFound="Nothing is called that" shortcut="mod + K" tagsToIgnore={[]} lockScroll={false} attributes={{ content: { 'aria-label': 'Find' } }}
      searchProps={{ placeholder: 'Find a screen or an action', 'aria-label': 'Find a screen or an action', leftSection: <IconSearch size={18} /> }}
    />
  );
}
