import { className, int, list, long, string } from '@tidelog/core'
import { JAVA, KRAFT, METRICS, PROVIDERS, TELEMETRY } from './unused-reasons.ts'

/** The broker itself: identity, policies, metrics. */
export const serverRows = {
  'alter.config.policy.class.name': className({
    default: null,
    importance: 'low',
    unused: JAVA,
    doc: 'Class that may refuse changes of configuration.',
  }),
  'broker.heartbeat.interval.ms': int({
    default: 2000,
    unit: 'ms',
    importance: 'medium',
    unused: KRAFT,
    doc: 'How often a broker tells the controller that it lives.',
  }),
  'broker.id': int({
    default: -1,
    importance: 'high',
    doc: "The broker's number under its older name; node.id wins when both are set and agree.",
  }),
  'broker.rack': string({
    default: null,
    importance: 'medium',
    doc: 'Rack of the broker, which replica assignment spreads over and consumers are told.',
  }),
  'broker.session.timeout.ms': int({
    default: 9000,
    unit: 'ms',
    importance: 'medium',
    unused: KRAFT,
    doc: 'Time without a heartbeat after which a broker counts as dead.',
  }),
  'client.quota.callback.class': className({ default: null, importance: 'low', unused: JAVA, doc: 'Class that computes client quotas.' }),
  'config.providers': list({
    default: [],
    importance: 'low',
    update: 'cluster-wide',
    unused: PROVIDERS,
    doc: 'Names of providers that resolve variables in values.',
  }),
  'create.topic.policy.class.name': className({ default: null, importance: 'low', unused: JAVA, doc: 'Class that may refuse new topics.' }),
  'initial.broker.registration.timeout.ms': int({
    default: 60_000,
    unit: 'ms',
    importance: 'medium',
    unused: KRAFT,
    doc: 'How long a starting broker tries to register.',
  }),
  'kafka.metrics.polling.interval.secs': int({
    default: 10,
    min: 1,
    unit: 's',
    importance: 'low',
    unused: JAVA,
    doc: 'How often metrics reporters are polled.',
  }),
  'kafka.metrics.reporters': list({ default: [], importance: 'low', unused: JAVA, doc: 'Reporter classes of the older metrics library.' }),
  'metric.reporters': list({
    default: ['org.apache.kafka.common.metrics.JmxReporter'],
    importance: 'low',
    update: 'cluster-wide',
    unused: JAVA,
    doc: 'Reporter classes of metrics.',
  }),
  'metrics.num.samples': int({ default: 2, min: 1, importance: 'low', unused: METRICS, doc: 'Samples kept to compute a metric.' }),
  'metrics.recording.level': string({
    default: 'INFO',
    importance: 'low',
    unused: METRICS,
    doc: 'Lowest level of metrics that are recorded.',
  }),
  'metrics.sample.window.ms': long({
    default: 30_000,
    min: 1,
    unit: 'ms',
    importance: 'low',
    unused: METRICS,
    doc: 'Length of one such sample.',
  }),
  'node.id': int({ default: 1, min: 0, importance: 'high', doc: "The broker's number, unique in its cluster." }),
  'telemetry.max.bytes': int({
    default: 1_048_576,
    min: 1,
    unit: 'bytes',
    importance: 'low',
    unused: TELEMETRY,
    doc: 'Largest metrics payload a client may push.',
  }),
}
