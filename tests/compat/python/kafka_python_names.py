"""Prints, as JSON, every call, configuration, export and error that kafka-python has: tests/compat/python/kafka-python-names.json."""
import inspect
import json

import kafka
import kafka.errors

names = {'version': kafka.__version__}
for client in (kafka.KafkaProducer, kafka.KafkaConsumer, kafka.KafkaAdminClient):
    names[client.__name__] = {
        'calls': [name for name, member in inspect.getmembers(client) if not name.startswith('_') and callable(member)],
        'configurations': list(client.DEFAULT_CONFIG),
    }
names['exports'] = [name for name in dir(kafka) if name[0].isupper()]
names['errors'] = {
    name: getattr(error, 'errno', None)
    for name, error in inspect.getmembers(kafka.errors, inspect.isclass)
    if issubclass(error, Exception) and error.__module__.startswith('kafka')
}
print(json.dumps(names))
