import { Button, type ButtonProps, VisuallyHidden } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';
import { useEffect, useState } from 'react';

/** Puts text on the clipboard. Without TLS browsers keep their clipboard from pages; the old way works there too. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.setAttribute('readonly', '');
    area.className = 'off-screen';
    (document.querySelector('[role="dialog"]') ?? document.body).append(area); // a dialog keeps the focus inside
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** Copies `text`, and says so on itself. `label` names what is copied where there is more than one. */
export function CopyButton({ text, label = 'Copy', ...props }: { text: string; label?: string } & Omit<ButtonProps, 'children'>) {
  const [state, setState] = useState<'' | 'Copied' | 'Select the text and copy it'>('');
  useEffect(() => {
    const back = state && setTimeout(() => setState(''), 2000);
    return () => clearTimeout(back || undefined);
  }, [state]);
  return (
    <>
      <Button
        size="xs" variant="default" leftSection={state === 'Copied' ? <IconCheck size={14} /> : <IconCopy size={14} />} {...props}
        onClick={() => void copyText(text).then((done) => setState(done ? 'Copied' : 'Select the text and copy it'))}
      >
        {state || label}
      </Button>
      <VisuallyHidden role="status">{state}</VisuallyHidden>
    </>
  );
}
