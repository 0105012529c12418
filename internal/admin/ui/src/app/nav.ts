import { IconFolders, type Icon } from '@tabler/icons-react';

/** A screen in the header, the phone's menu, the palette and the keyboard's `g` sequences. */
export interface NavItem {
  to: '/projects';
  label: string;
  icon: Icon;
  key: string; // pressed after g
}

/** In the order of the header: overview, projects, tokens, requests, audit, delivery, playground, settings. */
export const nav: NavItem[] = [
  { to: '/projects', label: 'Projects', icon: IconFolders, key: 'p' },
];
