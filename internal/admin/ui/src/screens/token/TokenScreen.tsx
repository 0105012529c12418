import { Page } from '../../app/Page';

export function TokenScreen() {
  return <Page title="Token">{null}</Page>;
}
