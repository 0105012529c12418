import { Drawer, Modal, Notification, Popover, Skeleton, createTheme } from '@mantine/core';

import { returnFocus } from './focus';

/** The head of a dialog is a header element, and not that of the page. */
const noBanner = { header: { role: 'presentation' } };

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
    Modal: Modal.extend({ defaultProps: { lockScroll: false, closeButtonProps: { 'aria-label': 'Close' }, attributes: noBanner, onExitTransitionEnd: returnFocus } }),
    Drawer: Drawer.extend({ defaultProps: { lockScroll: false, position: 'right', size: 'lg', closeButtonProps: { 'aria-label': 'Close' }, attributes: noBanner, onExitTransitionEnd: returnFocus } }),
    Notification: Notification.extend({ defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } }),
    Popover: Popover.extend({ defaultProps: { shadow: 'md' } }),
    Skeleton: Skeleton.extend({ defaultProps: { 'aria-hidden': true } }),
  },
});
