import { ActionIcon, Menu } from '@mantine/core';
import { IconBan, IconDots, IconPencil, IconRefresh } from '@tabler/icons-react';

import { titleOf, type Token } from './token';
import type { TokenActions } from './useTokenActions';

/** What can be done to a token, from its row. Nothing brings a revoked one back. */
export function TokenMenu({ token, act }: { token: Token; act: TokenActions }) {
  return (
    <div onClick={(event) => event.stopPropagation()} role="presentation">
      <Menu position="bottom-end" withinPortal>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${titleOf(token)}`} disabled={token.status === 'revoked'}><IconDots size={18} /></ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPencil size={16} />} onClick={() => act.edit(token)}>Extend or change</Menu.Item>
          <Menu.Item leftSection={<IconRefresh size={16} />} onClick={() => act.rotate(token)} disabled={token.status === 'expired'}>Rotate</Menu.Item>
          <Menu.Divider />
          <Menu.Item c="red" leftSection={<IconBan size={16} />} onClick={() => act.revoke([token])}>Revoke</Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}
