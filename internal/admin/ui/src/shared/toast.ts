import { notifications } from '@mantine/notifications';

/** Says that something was done. What failed belongs where it failed (ProblemAlert), not here. */
export function toast(message: string): void {
  notifications.show({ message, color: 'green', withBorder: true, autoClose: 5000 });
}
