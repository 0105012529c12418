import { useState, type ReactNode } from 'react';

import type { Schemas } from '../../api/client';
import { EditToken } from './EditToken';
import { MintedToken } from './MintedToken';
import { RevokeProject, RevokeTokens } from './RevokeTokens';
import { RotateToken } from './RotateToken';
import type { Token } from './token';

/** What can be done to tokens. */
export interface TokenActions {
  edit: (token: Token) => void;
  rotate: (token: Token) => void;
  revoke: (tokens: Token[]) => void;
  revokeProject: (project: Schemas['Project']) => void;
  show: (minted: Schemas['MintedToken']) => void; // the secret, this once
}

/** The actions on tokens with the dialogs that they open, for any screen that shows tokens. */
export function useTokenActions({ onRevoked }: { onRevoked?: () => void } = {}): TokenActions & { dialogs: ReactNode } {
  const [edited, edit] = useState<Token>();
  const [rotated, rotate] = useState<Token>();
  const [revoked, revoke] = useState<Token[]>();
  const [project, revokeProject] = useState<Schemas['Project']>();
  const [minted, show] = useState<Schemas['MintedToken']>();
  return {
    edit, rotate, revoke, revokeProject, show,
    dialogs: (
      <>
        <EditToken token={edited} onClose={() => edit(undefined)} />
        <RotateToken token={rotated} onClose={() => rotate(undefined)} onRotated={(next) => { rotate(undefined); show(next); }} />
        <RevokeTokens tokens={revoked} onClose={() => revoke(undefined)} onRevoked={onRevoked} />
        <RevokeProject project={project} onClose={() => revokeProject(undefined)} onRevoked={onRevoked} />
        <MintedToken minted={minted} onStored={() => show(undefined)} />
      </>
    ),
  };
}
