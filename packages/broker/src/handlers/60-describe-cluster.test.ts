import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DescribeCluster, errorTable } from '@tidelog/protocol'
import { startBrokerForTest } from '@tidelog/testkit'

const unasked = -2147483648

test('every version describes the cluster', async (t) => {
  const { broker, call } = await startBrokerForTest(t, { config: { 'broker.rack': 'r1' } })
  for (let version = 0; version <= 2; version++) {
    for (const includeClusterAuthorizedOperations of [true, false]) {
      const response = await call(DescribeCluster, version, { includeClusterAuthorizedOperations })
      assert.deepEqual(response, {
        throttleTimeMs: 0,
        errorCode: 0,
        errorMessage: null,
        endpointType: 1,
        clusterId: broker.clusterId,
        controllerId: 1,
        brokers: [{ brokerId: 1, host: '127.0.0.1', port: broker.port, rack: 'r1', isFenced: false }],
        clusterAuthorizedOperations: includeClusterAuthorizedOperations ? 8096 : unasked,
      })
    }
  }
})

test('a broker is no controller to connect to', async (t) => {
  const { call } = await startBrokerForTest(t)
  const refusal = async (endpointType: number) => {
    const { errorCode, errorMessage } = await call(DescribeCluster, 1, { includeClusterAuthorizedOperations: false, endpointType })
    return [errorCode, errorMessage]
  }
  assert.deepEqual(await refusal(2), [
    errorTable.MISMATCHED_ENDPOINT_TYPE.code,
    'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER',
  ])
  assert.deepEqual(await refusal(7), [errorTable.UNSUPPORTED_ENDPOINT_TYPE.code, 'Unsupported endpoint type 7'])
})
