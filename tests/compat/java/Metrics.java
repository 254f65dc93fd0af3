import java.time.Duration;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** BOOTSTRAP TOPIC: prints the names of the metrics that each of Java's clients has when it has worked a little, as CLIENT GROUP TAGS: NAMES. */
public class Metrics {
    static void print(String client, Map<MetricName, ? extends Metric> metrics) {
        Map<String, TreeSet<String>> byKind = new TreeMap<>();
        for (MetricName name : metrics.keySet())
            byKind.computeIfAbsent(name.group() + " " + name.tags().keySet().stream().sorted().collect(Collectors.joining(",")), kind -> new TreeSet<>()).add(name.name());
        byKind.forEach((kind, names) -> System.out.println(client + " " + kind + ": " + String.join(" ", names)));
    }

    public static void main(String[] arguments) throws Exception {
        String servers = arguments[0], topic = arguments[1];
        Map<String, Object> settings = Map.of("bootstrap.servers", servers, "transactional.id", "metrics");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, "value"));
            producer.commitTransaction();
            print("producer", producer.metrics());
        }
        for (String protocol : List.of("classic", "consumer")) {
            Map<String, Object> consuming = Map.of("bootstrap.servers", servers, "group.id", protocol, "group.protocol", protocol, "auto.offset.reset", "earliest");
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(topic));
                while (consumer.poll(Duration.ofSeconds(1)).isEmpty()) {}
                consumer.commitSync();
                consumer.poll(Duration.ofMillis(10));
                print(protocol, consumer.metrics());
            }
        }
        Map<String, Object> sharing = Map.of("bootstrap.servers", servers, "group.id", "share");
        try (KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(sharing, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            consumer.poll(Duration.ofSeconds(2));
            print("share", consumer.metrics());
        }
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            admin.listTopics().names().get();
            print("admin", admin.metrics());
        }
    }
}
