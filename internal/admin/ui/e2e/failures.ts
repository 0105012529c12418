import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** Ends what a run prints with the tests that failed, each with its error in a line: the end of a log is what is read, and often all that is kept. */
export default class Failures implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly { message: string; stack?: string }[]): void {
    const failed = modules.flatMap((module) => [
      ...[...module.children.allTests('failed')].map((test) => `${module.relativeModuleId} > ${test.fullName}: ${reasonOf(test.result())}`),
      ...module.errors().map((error) => `${module.relativeModuleId}: ${line(error.message)}`),
    ]);
    failed.push(...unhandled.map(({ message, stack }) => `outside of any test: ${line(message)} ${/at (.*e2e.*|.*src.*)/.exec(stack ?? '')?.[1] ?? ''}`));
    if (failed.length > 0) {
      process.stderr.write(`\n${failed.length} failed:\n${failed.map((text) => `  ${text}\n`).join('')}`);
    }
  }
}

const reasonOf = ({ errors }: ReturnType<TestCase['result']>) => (errors ?? []).map(({ message }) => line(message)).join('; ') || 'no reason given';

/** The beginning of a message, in one line. */
const line = (message: string) => message.replace(/\u001b\[[0-9;]*m/g, '').replace(/\s+/g, ' ').slice(0, 500);
