import { NumberInput } from '@mantine/core';
import type { UseFormReturnType } from '@mantine/form';

import type { TokenValues } from './token';

/** The two caps of a token. */
export function CapFields({ form }: { form: Pick<UseFormReturnType<TokenValues>, 'getInputProps'> }) {
  const number = { min: 1, max: 1_000_000_000, allowDecimal: false, allowNegative: false, clampBehavior: 'blur', thousandSeparator: ',', placeholder: 'No cap' } as const;
  return (
    <>
      <NumberInput label="Requests in its whole life" description="Empty: no cap." {...number} {...form.getInputProps('max_requests')} />
      <NumberInput label="Requests per hour" description="In each clock hour of UTC. Empty: no cap." {...number} {...form.getInputProps('requests_per_hour')} />
    </>
  );
}
