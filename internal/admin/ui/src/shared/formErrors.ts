import type { UseFormReturnType } from '@mantine/form';

import { Problem, toProblem } from '../api/problem';

/**
 * Puts what a problem says of fields beside the fields of a form, by name. What is left is returned, for a ProblemAlert: the whole problem
 * where it names no field, or one that the form does not have; undefined where every word of it has found its place.
 */
export function takeFieldErrors<T extends Record<string, unknown>>(form: Pick<UseFormReturnType<T>, 'setFieldError'>, fields: readonly (keyof T & string)[], error: unknown): Problem | undefined {
  const problem = toProblem(error);
  const rest = problem.errors.filter(({ field, message }) => {
    const own = fields.find((name) => field === name || field.startsWith(`${name}.`) || field.startsWith(`${name}[`));
    if (own) {
      form.setFieldError(own, sentence(message));
    }
    return !own;
  });
  if (problem.errors.length > 0 && rest.length === 0) {
    return undefined;
  }
  return new Problem({ status: problem.status, title: problem.title, detail: problem.detail, errors: rest }, { requestID: problem.requestID, retryAfter: problem.retryAfter });
}

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
