import { Drawer, Menu, Modal, Notification, Popover, Skeleton, createTheme } from '@mantine/core';

import { returnFocus } from './focus';

/** The head of a dialog is a header element, and not that of the page. */
const noBanner = { header: { role: 'presentation' } };

/** A list of options moves by itself when there are many: within an area that moves, axe and the keyboard do not see it as one. By name, as its code is none of the first load. */
const options = { defaultProps: { withScrollArea: false, styles: { options: { maxHeight: 220, overflowY: 'auto' }, option: { overflowWrap: 'anywhere' } } } };

/**
 * What differs from Mantine's own look. Its variables are not written from here: that would take a style element, which the policy
 * forbids. Colours and sizes that differ are in global.css.
 */
export const theme = createTheme({
  primaryColor: 'indigo',
  primaryShade: { light: 8, dark: 8 },
  respectReducedMotion: true,
  components: {
    // Locking the page's scrolling takes a style element too.
    Modal: Modal.extend({ defaultProps: { lockScroll: false, closeButtonProps: { 'aria-label': 'Close' }, attributes: noBanner, classNames: { title: 'wrap' }, onExitTransitionEnd: returnFocus } }),
    Drawer: Drawer.extend({ defaultProps: { lockScroll: false, position: 'right', size: 'lg', closeButtonProps: { 'aria-label': 'Close' }, attributes: noBanner, classNames: { title: 'wrap' }, onExitTransitionEnd: returnFocus } }),
    Notification: Notification.extend({ defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } }),
    Popover: Popover.extend({ defaultProps: { shadow: 'md', portalProps: { target: 'main' } } }), // of lists and menus too: what opens is a part of the page's content
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false } }), // the first item has the focus, and a menu has nothing but items
    Select: options,
    Autocomplete: options,
    Skeleton: Skeleton.extend({ defaultProps: { 'aria-hidden': true } }),
  },
});
