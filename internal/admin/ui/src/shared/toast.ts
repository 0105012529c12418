import { notifications } from '@mantine/notifications';
import type { ReactNode } from 'react';

import { toProblem } from '../api/problem';

/** Says that something was done. Names stand in <bdi>: one may turn the direction of its text. */
export function toast(message: ReactNode): void {
  notifications.show({ message, color: 'green', withBorder: true, autoClose: 5000 });
}

/** Says that something was not done, where there is no place on the screen for it; forms and dialogs have one (ProblemAlert). It stays until it is closed. */
export function toastProblem(title: ReactNode, error: unknown): void {
  notifications.show({ title, message: toProblem(error).detail, color: 'red', withBorder: true, autoClose: false, role: 'alert' });
}
