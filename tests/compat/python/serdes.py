"""Confluent's serializers against ours: 'write' fills the topics py-avro, py-protobuf, py-json; 'read' reads ts-avro, ts-protobuf, ts-json.
Records name their schemas in a prefix or in a header.

    serdes.py write|read prefix|header BOOTSTRAP REGISTRY
"""
import sys

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import (
    Schema, SchemaReference, SchemaRegistryClient, header_schema_id_serializer, prefix_schema_id_serializer, record_subject_name_strategy)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

MODE, FRAMING, BOOTSTRAP, REGISTRY = sys.argv[1:]
FRAMED = {'schema.id.serializer': header_schema_id_serializer if FRAMING == 'header' else prefix_schema_id_serializer}
registry = SchemaRegistryClient({'url': REGISTRY})

MONEY = '{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"amount","type":"long"},{"name":"currency","type":"string"}]}'
ORDER = '''{"type":"record","name":"Order","namespace":"shop","fields":[
  {"name":"id","type":"string"},{"name":"total","type":"shop.Money"},
  {"name":"tags","type":{"type":"array","items":"string"}},
  {"name":"note","type":["null","string"],"default":null}]}'''
PRODUCT = '''{"$schema":"http://json-schema.org/draft-07/schema#","title":"Product","type":"object",
  "properties":{"name":{"type":"string"},"price":{"$ref":"price.json"}},"required":["name","price"]}'''
PRICE = '{"$schema":"http://json-schema.org/draft-07/schema#","$id":"price.json","title":"Price","type":"number","minimum":0}'


def order_of(index):
    return {'id': f'order {index}', 'total': {'amount': 2 ** 40 + index, 'currency': 'EUR'}, 'tags': ['a', 'ü'], 'note': None if index % 2 else 'odd'}


def product_of(index):
    return {'name': f'product {index}', 'price': index / 4}


def messages():
    """shop/order.proto, which imports shop/address.proto; the message is the second of its file, and has one in it."""
    Field = descriptor_pb2.FieldDescriptorProto

    def field(name, number, type_, type_name=None):
        return Field(name=name, number=number, type=type_, type_name=type_name, label=Field.LABEL_OPTIONAL)

    address = descriptor_pb2.FileDescriptorProto(name='shop/address.proto', package='shop', syntax='proto3')
    address.message_type.add(name='Address').field.append(field('city', 1, Field.TYPE_STRING))
    order = descriptor_pb2.FileDescriptorProto(name='shop/order.proto', package='shop', syntax='proto3', dependency=['shop/address.proto'])
    order.message_type.add(name='Other').field.append(field('text', 1, Field.TYPE_STRING))
    message = order.message_type.add(name='Order')
    message.field.extend([field('id', 1, Field.TYPE_STRING), field('to', 2, Field.TYPE_MESSAGE, '.shop.Address')])
    message.nested_type.add(name='Line').field.append(field('count', 1, Field.TYPE_INT32))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(address)
    pool.Add(order)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in ('shop.Address', 'shop.Order', 'shop.Order.Line')}


MESSAGES = messages()
COUNT = 20


def shipment_of(index):
    return MESSAGES['shop.Order'](id=f'order {index}', to=MESSAGES['shop.Address'](city='Rome'))


def line_of(index):
    return MESSAGES['shop.Order.Line'](count=index)


def write():
    money = registry.register_schema('shop.Money', Schema(MONEY, 'AVRO'))
    assert money > 0
    price = registry.register_schema('shop.Price', Schema(PRICE, 'JSON'))
    assert price > 0
    avro = AvroSerializer(registry, Schema(ORDER, 'AVRO', [SchemaReference('shop.Money', 'shop.Money', 1)]), conf=FRAMED)
    json = JSONSerializer(Schema(PRODUCT, 'JSON', [SchemaReference('price.json', 'shop.Price', 1)]), registry, conf=FRAMED)
    shipments = ProtobufSerializer(MESSAGES['shop.Order'], registry, {'use.deprecated.format': False, **FRAMED})
    lines = ProtobufSerializer(MESSAGES['shop.Order.Line'], registry, {'use.deprecated.format': False, 'subject.name.strategy': record_subject_name_strategy, **FRAMED})
    producer = Producer({'bootstrap.servers': BOOTSTRAP})
    for index in range(COUNT):
        for topic, serializer, value in [('py-avro', avro, order_of(index)), ('py-json', json, product_of(index)), ('py-protobuf', shipments, shipment_of(index)), ('py-lines', lines, line_of(index))]:
            headers = [('other', b'1')]
            payload = serializer(value, SerializationContext(topic, MessageField.VALUE, headers))
            producer.produce(topic, payload, headers=headers)
    assert producer.flush(30) == 0


def read():
    readers = {
        'ts-avro': (AvroDeserializer(registry), order_of),
        'ts-json': (JSONDeserializer(None, schema_registry_client=registry), product_of),
        'ts-protobuf': (ProtobufDeserializer(MESSAGES['shop.Order'], {'use.deprecated.format': False}, registry), shipment_of),
        'ts-lines': (ProtobufDeserializer(MESSAGES['shop.Order.Line'], {'use.deprecated.format': False}, registry), line_of),
    }
    consumer = Consumer({'bootstrap.servers': BOOTSTRAP, 'group.id': 'python', 'auto.offset.reset': 'earliest'})
    consumer.subscribe(list(readers))
    seen = {topic: 0 for topic in readers}
    for _ in range(COUNT * len(readers)):
        message = consumer.poll(20)
        assert message is not None and message.error() is None, message and message.error()
        deserializer, expected = readers[message.topic()]
        headers = message.headers()
        assert [name for name, _ in headers or []] == (['__value_schema_id'] if FRAMING == 'header' else []), headers
        value = deserializer(message.value(), SerializationContext(message.topic(), MessageField.VALUE, headers))
        assert value == expected(seen[message.topic()]), (value, expected(seen[message.topic()]))
        seen[message.topic()] += 1
    consumer.close()
    assert all(count == COUNT for count in seen.values()), seen


write() if MODE == 'write' else read()
print('ok', MODE)
