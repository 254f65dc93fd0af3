import { CreateAcls, DeleteAcls, DescribeAcls } from '@tidelog/protocol'
import type { AclEntry, AclFilter } from '../types-admin-requests.ts'
import { brokerCall, checkCode, checkEach, throttled } from './broker-call.ts'

/** Requests about access control entries. */

const filterOf = ({ resourceType, resourceName, resourcePatternType, principal, host, operation, permissionType }: AclFilter) => ({
  resourceTypeFilter: resourceType,
  resourceNameFilter: resourceName ?? null,
  patternTypeFilter: resourcePatternType,
  principalFilter: principal ?? null,
  hostFilter: host ?? null,
  operation,
  permissionType,
})

export interface CreateAclsGiven {
  acl: AclEntry[]
}

export const createAclsCall = brokerCall({
  api: CreateAcls,
  newest: 1,
  request: ({ acl }: CreateAclsGiven) => ({ creations: acl }),
  answer: (response) => {
    checkEach(response.results)
    return { ...throttled(response), creationResponses: response.results }
  },
})

export const describeAclsCall = brokerCall({
  api: DescribeAcls,
  newest: 1,
  request: filterOf,
  answer: (response) => {
    const { errorCode, errorMessage, resources } = response
    checkCode(errorCode)
    return {
      ...throttled(response),
      errorCode,
      errorMessage,
      resources: resources.map(({ patternType, ...resource }) => ({ ...resource, resourcePatternType: patternType })),
    }
  },
})

export interface DeleteAclsGiven {
  filters: AclFilter[]
}

export const deleteAclsCall = brokerCall({
  api: DeleteAcls,
  newest: 1,
  request: ({ filters }: DeleteAclsGiven) => ({ filters: filters.map(filterOf) }),
  answer: (response) => {
    checkEach(response.filterResults)
    for (const { matchingAcls } of response.filterResults) checkEach(matchingAcls)
    return {
      ...throttled(response),
      filterResponses: response.filterResults.map(({ matchingAcls, ...result }) => ({
        ...result,
        matchingAcls: matchingAcls.map(({ patternType, ...acl }) => ({ ...acl, resourcePatternType: patternType })),
      })),
    }
  },
})
