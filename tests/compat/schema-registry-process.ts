import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { debianCommand, freePort, installed, javaArgs, serving, succeed } from './harness.ts'

/** The newest Apicurio Registry that Java 17 runs. */
const VERSION = '2.6.13.Final'
const COPY_GOAL = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy'

/** An Apicurio Registry that keeps its schemas in memory and speaks Confluent's interface. @returns The URL of that interface. */
export async function startSchemaRegistry(t: TestContext): Promise<string> {
  await debianCommand('java', 'default-jdk-headless')
  const dir = await installed(`apicurio-registry-${VERSION}`, async (target) => {
    await debianCommand('mvn', 'maven')
    const artifact = `io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`
    await succeed('mvn', ['-q', '-B', COPY_GOAL, `-Dartifact=${artifact}`, `-DoutputDirectory=${target}`], { timeoutMs: 600_000 })
    const archive = join(target, `apicurio-registry-app-${VERSION}-all.tar.gz`)
    await succeed('tar', ['xzf', archive, '-C', target])
    await succeed('rm', [archive])
  })
  const port = await freePort()
  const args = [
    ...javaArgs,
    '-Xmx512m',
    '-Dquarkus.http.host=127.0.0.1',
    `-Dquarkus.http.port=${port}`,
    '-jar',
    join(dir, `apicurio-registry-app-${VERSION}-runner.jar`),
  ]
  const child = spawn('java', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  await serving(child, (stdout) => stdout.includes('Listening on:'))
  return `http://127.0.0.1:${port}/apis/ccompat/v7`
}
