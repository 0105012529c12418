import { ActionIcon, Menu, useMantineColorScheme, type MantineColorScheme } from '@mantine/core';
import { IconCheck, IconDeviceDesktop, IconHelp, IconLogout, IconMoon, IconSun, IconUser } from '@tabler/icons-react';

import { signOut, useSession } from '../session/session';
import { toastProblem } from '../shared/toast';

const schemes: { value: MantineColorScheme; label: string; icon: typeof IconSun }[] = [
  { value: 'light', label: 'Light', icon: IconSun },
  { value: 'dark', label: 'Dark', icon: IconMoon },
  { value: 'auto', label: 'As the system is', icon: IconDeviceDesktop },
];

export function SchemeMenu() {
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true }); // holding them back would take a style element
  const Now = schemes.find(({ value }) => value === colorScheme)?.icon ?? IconDeviceDesktop;
  return (
    <Menu position="bottom-end">
      <Menu.Target><ActionIcon variant="default" size="lg" aria-label="Colours"><Now size={18} /></ActionIcon></Menu.Target>
      <Menu.Dropdown>
        {schemes.map(({ value, label, icon: SchemeIcon }) => (
          <Menu.Item key={value} leftSection={<SchemeIcon size={16} />} rightSection={value === colorScheme ? <IconCheck size={14} aria-label="chosen" /> : null} onClick={() => setColorScheme(value)}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

/** Ends the session, or says that it did not end. */
export function leave(): void {
  signOut().catch((thrown: unknown) => toastProblem('You are still signed in', thrown));
}

export function AccountMenu({ onHelp }: { onHelp: () => void }) {
  const session = useSession();
  return (
    <Menu position="bottom-end">
      <Menu.Target><ActionIcon variant="default" size="lg" aria-label="Account"><IconUser size={18} /></ActionIcon></Menu.Target>
      <Menu.Dropdown>
        {session.state === 'in' && <Menu.Label>Signed in as {session.user}</Menu.Label>}
        <Menu.Item leftSection={<IconHelp size={16} />} onClick={onHelp}>Keyboard</Menu.Item>
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={leave}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
