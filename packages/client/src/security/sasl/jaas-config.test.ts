import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJaasConfig } from './jaas-config.ts'

test("a login module's options are read as Java reads them: quotes of both kinds, escapes, comments, words, any spacing", () => {
  const { name, options } = parseJaasConfig(
    'org.apache.kafka.common.security.plain.PlainLoginModule required\n /* who */ username="al\\"ice;=" // name\n password=\'p"w\\\\d\\101\' serviceName=kafka;',
  )
  assert.equal(name, 'PlainLoginModule')
  assert.deepEqual(
    [...options],
    [
      ['username', 'al"ice;='],
      ['password', 'p"w\\dA'],
      ['serviceName', 'kafka'],
    ],
  )
})

const wrong: Readonly<Record<string, RegExp>> = {
  '': /no login module/,
  'a.PlainLoginModule': /not followed by required/,
  'a.PlainLoginModule username="secret"': /not followed by required/,
  'a.PlainLoginModule required username="u" password="secret"': /no ; at its end/,
  'a.PlainLoginModule required username="secret': /is not closed/,
  'a.PlainLoginModule required username "secret";': /option number 1/,
  'a.PlainLoginModule required; b.ScramLoginModule required;': /more than one/,
}

for (const [text, message] of Object.entries(wrong)) {
  test(`sasl.jaas.config of ${text.length} characters that is none is an error without what stands in it: ${message.source}`, () => {
    assert.throws(
      () => parseJaasConfig(text),
      (error: Error) => message.test(error.message) && !error.message.includes('secret'),
    )
  })
}
