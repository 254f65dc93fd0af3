const STRING = 9
const MESSAGE = 11 as const
const INT32 = 5

const field = <T extends typeof STRING | typeof INT32>(name: string, number: number, type: T) => ({ name, number, type, label: 1 as const })

/** As descriptors, for serdes of Protobuf to be tested with: a file that imports another, whose second message has one in it. */
export const protobufFiles = {
  address: {
    name: 'shop/address.proto',
    package: 'shop',
    syntax: 'proto3',
    messageType: [{ name: 'Address', field: [field('city', 1, STRING)] }],
  },
  order: {
    name: 'shop/order.proto',
    package: 'shop',
    syntax: 'proto3',
    dependency: ['shop/address.proto'],
    messageType: [
      { name: 'Other', field: [field('text', 1, STRING)] },
      {
        name: 'Order',
        field: [field('id', 1, STRING), { name: 'to', number: 2, type: MESSAGE, typeName: '.shop.Address', label: 1 as const }],
        nestedType: [{ name: 'Line', field: [field('count', 1, INT32)] }],
      },
    ],
  },
}
