import { Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';

import { Page } from './Page';

export function NotFound() {
  return <Page title="There is no such screen"><Text>The address may be from another version. <Link to="/">Go to the start</Link></Text></Page>;
}
