import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { BackgroundProcess } from './background.ts'
import { compatDir, type Finished, javaArgs, kafkaJars } from './harness.ts'

const MAIN_CLASSES = {
  topics: 'org.apache.kafka.tools.TopicCommand',
  consumerGroups: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  groups: 'org.apache.kafka.tools.GroupsCommand',
  transactions: 'org.apache.kafka.tools.TransactionsCommand',
  features: 'org.apache.kafka.tools.FeatureCommand',
  produce: 'Tools$Produce',
  leaveOpen: 'Tools$LeaveOpen',
  sendKeys: 'Tools$SendKeys',
  consoleConsumer: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
} as const

/** Kafka 4.3's tools against one broker, in one JVM that stays: see java/Tools.java. One at a time. */
export class JavaShell {
  readonly #process: BackgroundProcess
  readonly #bootstrap: string
  #calls = 0

  private constructor(process: BackgroundProcess, bootstrap: string) {
    this.#process = process
    this.#bootstrap = bootstrap
  }

  static async start(t: TestContext, bootstrap: string): Promise<JavaShell> {
    const args = [...javaArgs, '-Xmx256M', '-cp', await kafkaJars('4.3.0'), join(compatDir, 'java', 'Tools.java')]
    return new JavaShell(new BackgroundProcess(t, 'java', args), bootstrap)
  }

  /** With `--bootstrap-server`; the exit code is the caller's to judge. */
  async run(tool: keyof typeof MAIN_CLASSES, args: readonly string[]): Promise<Finished> {
    const words = [MAIN_CLASSES[tool], '--bootstrap-server', this.#bootstrap, ...args]
    this.#process.write(`${words.map((word) => Buffer.from(word).toString('base64')).join('\t')}\n`)
    const index = this.#calls++
    await this.#process.until(`an answer of ${tool} ${args.join(' ')}`, () => this.#process.lines.length > index, 120_000)
    const [code, stdout = '', stderr = ''] = this.#process.lines[index]!.split('\t')
    const text = (encoded: string) => Buffer.from(encoded, 'base64').toString()
    return { code: Number(code), stdout: text(stdout), stderr: text(stderr) }
  }

  /** As `run`, and success demanded. */
  async call(tool: keyof typeof MAIN_CLASSES, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(tool, args)
    assert.equal(code, 0, `${tool} ${args.join(' ')}\n${stdout}\n${stderr}`)
    return stdout
  }
}
