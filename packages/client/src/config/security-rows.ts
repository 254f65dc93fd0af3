import { boolean, className, double, int, list, long, password, short, string } from '@tidelog/core'

const JVM = 'only a JVM gives it a meaning'
const KERBEROS = 'there is no Kerberos: sasl.mechanism=GSSAPI is refused'
const BROKER_SIDE = 'a client does not judge tokens; brokers do'
const ASSERTION = 'tokens come by client credentials; give a function as sasl.token for other ways'

const oauthLogin = [
  'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler',
  'org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler',
  'org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredLoginCallbackHandler',
]
const clientCallback = ['org.apache.kafka.common.security.oauthbearer.internals.OAuthBearerSaslClientCallbackHandler']
const jwtRetrievers = ['DefaultJwtRetriever', 'ClientCredentialsJwtRetriever', 'FileJwtRetriever']

/** Refuses what would change who is trusted, or as whom one logs in, and cannot be loaded here. */
const onlyKnown = (known: readonly string[], instead: string) => (text: string) =>
  text === '' || known.includes(text) ? undefined : `a Java class cannot be loaded here; ${instead}`

const classNamed = (text: string) => text.slice(text.lastIndexOf('.') + 1)

/** Who one is and whom one trusts, by Kafka's names. `tls` and `sasl` among the options say the same in Node's words. */
export const securityRows = {
  'security.protocol': string({
    default: 'PLAINTEXT',
    of: ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'],
    ignoreCase: true,
    importance: 'medium',
    doc: 'How to talk to brokers: in the clear or over TLS, with or without SASL.',
  }),
  'security.providers': string({ default: null, importance: 'low', unused: JVM, doc: 'Security providers.' }),

  'ssl.truststore.type': string({
    default: 'JKS',
    importance: 'medium',
    doc: 'PEM, or PKCS12 for a key store. What a file is shows in its first bytes; JKS cannot be read.',
  }),
  'ssl.truststore.location': string({ default: null, importance: 'high', doc: 'A PEM file of the certificates that are trusted.' }),
  'ssl.truststore.certificates': password({ default: null, importance: 'high', doc: 'The certificates that are trusted, as PEM.' }),
  'ssl.truststore.password': password({
    default: null,
    importance: 'high',
    unused: 'a PEM file of certificates has none',
    doc: "The trust store's password.",
  }),
  'ssl.keystore.type': string({ default: 'JKS', importance: 'medium', doc: 'PEM or PKCS12. What a file is shows in its first bytes.' }),
  'ssl.keystore.location': string({
    default: null,
    importance: 'high',
    doc: "A file with this client's key and certificates: PEM, or PKCS12.",
  }),
  'ssl.keystore.password': password({ default: null, importance: 'high', doc: 'The password of a PKCS12 key store.' }),
  'ssl.keystore.key': password({ default: null, importance: 'high', doc: "This client's private key, as PEM." }),
  'ssl.keystore.certificate.chain': password({
    default: null,
    importance: 'high',
    doc: "This client's certificate and those up to its authority, as PEM.",
  }),
  'ssl.key.password': password({ default: null, importance: 'high', doc: 'The password of an encrypted PEM key.' }),
  'ssl.endpoint.identification.algorithm': string({
    default: 'https',
    check: (text) => (text === '' || text.toLowerCase() === 'https' ? undefined : 'expected https, or nothing'),
    importance: 'low',
    doc: "https: the broker's certificate must name the host that was connected to. Empty: any trusted certificate will do.",
  }),
  'ssl.enabled.protocols': list({
    default: ['TLSv1.2', 'TLSv1.3'],
    of: ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'],
    nonEmpty: true,
    importance: 'medium',
    doc: 'Versions of TLS, from the lowest to the highest named here.',
  }),
  'ssl.cipher.suites': list({
    default: [],
    importance: 'low',
    doc: "Cipher suites, by Java's or OpenSSL's names; Node's own choice when empty.",
  }),
  'ssl.protocol': string({ default: 'TLSv1.3', importance: 'medium', unused: 'ssl.enabled.protocols decides', doc: 'TLS.' }),
  'ssl.provider': string({ default: null, importance: 'medium', unused: JVM, doc: 'Provider.' }),
  'ssl.keymanager.algorithm': string({ default: 'SunX509', importance: 'low', unused: JVM, doc: 'Key manager.' }),
  'ssl.trustmanager.algorithm': string({ default: 'PKIX', importance: 'low', unused: JVM, doc: 'Trust manager.' }),
  'ssl.secure.random.implementation': string({ default: null, importance: 'low', unused: JVM, doc: 'Random numbers.' }),
  'ssl.engine.factory.class': className({
    default: null,
    check: onlyKnown([], 'give Node options as tls'),
    importance: 'low',
    unused: 'refused when it is set',
    doc: 'What makes TLS engines.',
  }),

  'sasl.mechanism': string({
    default: 'GSSAPI',
    importance: 'medium',
    doc: 'PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER. The default needs Kerberos and is refused.',
  }),
  'sasl.jaas.config': password({
    default: null,
    importance: 'medium',
    doc: 'As in Java: `org.apache.kafka.common.security.plain.PlainLoginModule required username="…" password="…";`',
  }),
  'sasl.client.callback.handler.class': className({
    default: null,
    check: onlyKnown(clientCallback, 'give username and password, or a token, as sasl'),
    importance: 'medium',
    unused: 'refused when it is set',
    doc: 'What answers questions of the mechanism.',
  }),
  'sasl.login.callback.handler.class': className({
    default: null,
    check: onlyKnown(oauthLogin, 'give a function that gets a token as sasl.token'),
    importance: 'medium',
    unused: 'refused unless it is one of Kafka, whose settings are read',
    doc: 'What logs in.',
  }),
  'sasl.login.class': className({
    default: null,
    check: onlyKnown([], 'give the login as sasl'),
    importance: 'medium',
    unused: 'refused when it is set',
    doc: 'What logs in.',
  }),
  'sasl.login.connect.timeout.ms': int({
    default: null,
    importance: 'low',
    unused: 'sasl.login.read.timeout.ms bounds the whole of a request',
    doc: 'Limit of connecting to the token endpoint.',
  }),
  'sasl.login.read.timeout.ms': int({
    default: null,
    min: 1,
    unit: 'ms',
    importance: 'low',
    doc: 'Limit of a request to the token endpoint; request.timeout.ms when absent.',
  }),
  'sasl.login.retry.backoff.ms': long({
    default: 100,
    min: 0,
    unit: 'ms',
    importance: 'low',
    doc: 'Wait before the token endpoint is asked again.',
  }),
  'sasl.login.retry.backoff.max.ms': long({
    default: 10_000,
    min: 0,
    unit: 'ms',
    importance: 'low',
    doc: 'Longest wait before the token endpoint is asked again.',
  }),
  'sasl.login.refresh.window.factor': double({
    default: 0.8,
    min: 0.5,
    max: 1,
    importance: 'low',
    doc: "A token is replaced after this part of its life, at the next login. More than the broker's own part changes nothing.",
  }),
  'sasl.login.refresh.window.jitter': double({
    default: 0.05,
    min: 0,
    max: 0.25,
    importance: 'low',
    doc: 'Added at random to the part, so that clients do not all come at once.',
  }),
  'sasl.login.refresh.min.period.seconds': short({
    default: 60,
    min: 0,
    max: 900,
    unit: 's',
    importance: 'low',
    doc: 'A token is not replaced before this time, where its life allows that.',
  }),
  'sasl.login.refresh.buffer.seconds': short({
    default: 300,
    min: 0,
    max: 3600,
    unit: 's',
    importance: 'low',
    doc: 'A token is replaced at least this long before its end, where its life allows that.',
  }),
  'sasl.kerberos.kinit.cmd': string({ default: '/usr/bin/kinit', importance: 'low', unused: KERBEROS, doc: 'kinit.' }),
  'sasl.kerberos.min.time.before.relogin': long({ default: 60_000, importance: 'low', unused: KERBEROS, doc: 'Login.' }),
  'sasl.kerberos.service.name': string({ default: null, importance: 'medium', unused: KERBEROS, doc: 'Service.' }),
  'sasl.kerberos.ticket.renew.jitter': double({ default: 0.05, importance: 'low', unused: KERBEROS, doc: 'Renewal.' }),
  'sasl.kerberos.ticket.renew.window.factor': double({ default: 0.8, importance: 'low', unused: KERBEROS, doc: 'Renewal.' }),

  'sasl.oauthbearer.token.endpoint.url': string({
    default: null,
    importance: 'medium',
    doc: 'Where tokens come from: http(s) by client credentials (RFC 6749), or the file: that holds one.',
  }),
  'sasl.oauthbearer.client.credentials.client.id': string({
    default: null,
    importance: 'medium',
    doc: 'Who asks the token endpoint; clientId of sasl.jaas.config when absent.',
  }),
  'sasl.oauthbearer.client.credentials.client.secret': password({
    default: null,
    importance: 'medium',
    doc: 'Its secret; clientSecret of sasl.jaas.config when absent.',
  }),
  'sasl.oauthbearer.scope': string({
    default: null,
    importance: 'medium',
    doc: 'The scope asked for; scope of sasl.jaas.config when absent.',
  }),
  'sasl.oauthbearer.header.urlencode': boolean({
    default: false,
    importance: 'low',
    doc: 'URL-encode id and secret in the header of the token request, as RFC 6749 has it.',
  }),
  'sasl.oauthbearer.jwt.retriever.class': className({
    default: 'DefaultJwtRetriever',
    check: (text) => (jwtRetrievers.includes(classNamed(text)) ? undefined : `a Java class cannot be loaded here; ${ASSERTION}`),
    importance: 'medium',
    unused: 'refused unless it is one of Kafka whose settings are read',
    doc: 'What gets tokens.',
  }),
  'sasl.oauthbearer.jwt.validator.class': className({
    default: 'DefaultJwtValidator',
    importance: 'medium',
    unused: BROKER_SIDE,
    doc: 'What judges tokens.',
  }),
  'sasl.oauthbearer.assertion.file': string({
    default: null,
    check: (text) => (text === '' ? undefined : ASSERTION),
    importance: 'medium',
    unused: 'refused when it is set',
    doc: 'An assertion.',
  }),
  'sasl.oauthbearer.assertion.private.key.file': string({
    default: null,
    check: (text) => (text === '' ? undefined : ASSERTION),
    importance: 'medium',
    unused: 'refused when it is set',
    doc: 'Key of assertions.',
  }),
  'sasl.oauthbearer.assertion.algorithm': string({ default: 'RS256', importance: 'medium', unused: ASSERTION, doc: 'Assertions.' }),
  'sasl.oauthbearer.assertion.claim.aud': string({ default: null, importance: 'medium', unused: ASSERTION, doc: 'Assertions.' }),
  'sasl.oauthbearer.assertion.claim.exp.seconds': int({ default: 300, importance: 'low', unused: ASSERTION, doc: 'Assertions.' }),
  'sasl.oauthbearer.assertion.claim.iss': string({ default: null, importance: 'medium', unused: ASSERTION, doc: 'Assertions.' }),
  'sasl.oauthbearer.assertion.claim.jti.include': boolean({ default: false, importance: 'medium', unused: ASSERTION, doc: 'Assertions.' }),
  'sasl.oauthbearer.assertion.claim.nbf.seconds': int({ default: 60, importance: 'low', unused: ASSERTION, doc: 'Assertions.' }),
  'sasl.oauthbearer.assertion.claim.sub': string({ default: null, importance: 'medium', unused: ASSERTION, doc: 'Assertions.' }),
  'sasl.oauthbearer.assertion.private.key.passphrase': password({
    default: null,
    importance: 'medium',
    unused: ASSERTION,
    doc: 'Assertions.',
  }),
  'sasl.oauthbearer.assertion.template.file': string({ default: null, importance: 'medium', unused: ASSERTION, doc: 'Assertions.' }),
  'sasl.oauthbearer.clock.skew.seconds': int({ default: 30, importance: 'low', unused: BROKER_SIDE, doc: 'Clocks.' }),
  'sasl.oauthbearer.expected.audience': list({ default: [], importance: 'low', unused: BROKER_SIDE, doc: 'Audience.' }),
  'sasl.oauthbearer.expected.issuer': string({ default: null, importance: 'low', unused: BROKER_SIDE, doc: 'Issuer.' }),
  'sasl.oauthbearer.jwks.endpoint.refresh.ms': long({ default: 3_600_000, importance: 'low', unused: BROKER_SIDE, doc: 'Keys.' }),
  'sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms': long({ default: 10_000, importance: 'low', unused: BROKER_SIDE, doc: 'Keys.' }),
  'sasl.oauthbearer.jwks.endpoint.retry.backoff.ms': long({ default: 100, importance: 'low', unused: BROKER_SIDE, doc: 'Keys.' }),
  'sasl.oauthbearer.jwks.endpoint.url': string({ default: null, importance: 'medium', unused: BROKER_SIDE, doc: 'Keys.' }),
  'sasl.oauthbearer.scope.claim.name': string({ default: 'scope', importance: 'low', unused: BROKER_SIDE, doc: 'Claims.' }),
  'sasl.oauthbearer.sub.claim.name': string({ default: 'sub', importance: 'low', unused: BROKER_SIDE, doc: 'Claims.' }),
} as const
