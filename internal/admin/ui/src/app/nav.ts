import { IconArrowsLeftRight, IconChartBar, IconClipboardList, IconFolders, IconKey, IconPlayerPlay, IconSend, IconSettings, type Icon } from '@tabler/icons-react';

/** A screen in the header, the phone's menu, the palette and the keyboard's `g` sequences. */
export interface NavItem {
  to:
    | '/overview'
    | '/projects'
    | '/tokens'
    | '/requests'
    | '/audit'
    | '/delivery'
    | '/playground'
    | '/settings';
  label: string;
  icon: Icon;
  key: string; // pressed after g
}

/** In the order of the header. */
export const nav: NavItem[] = [
  { to: '/overview', label: 'Overview', icon: IconChartBar, key: 'o' },
  { to: '/projects', label: 'Projects', icon: IconFolders, key: 'p' },
  { to: '/tokens', label: 'Tokens', icon: IconKey, key: 't' },
  { to: '/requests', label: 'Requests', icon: IconArrowsLeftRight, key: 'r' },
  { to: '/audit', label: 'Audit', icon: IconClipboardList, key: 'a' },
  { to: '/delivery', label: 'Delivery', icon: IconSend, key: 'd' },
  { to: '/playground', label: 'Playground', icon: IconPlayerPlay, key: 'y' },
  { to: '/settings', label: 'Settings', icon: IconSettings, key: 's' },
];
