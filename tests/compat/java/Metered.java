import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

/** A producer and a consumer with work to count: ten records a tenth of a second, read and committed, until a line comes. Arguments: bootstrap servers, topic, group protocol. */
public class Metered {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> common = Map.of("bootstrap.servers", arguments[0]);
        Map<String, Object> producing = new HashMap<>(common);
        producing.putAll(Map.of("client.id", "java-producer", "transactional.id", "java-transactions"));
        Map<String, Object> consuming = new HashMap<>(common);
        consuming.putAll(Map.of("client.id", "java-consumer", "group.id", "java-group", "group.instance.id", "java-instance", "client.rack", "r1",
            "auto.offset.reset", "earliest", "group.protocol", arguments[2]));
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(producing, new StringSerializer(), new StringSerializer());
             KafkaConsumer<String, String> consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new StringDeserializer())) {
            producer.initTransactions();
            consumer.subscribe(List.of(arguments[1]));
            while (System.in.available() == 0) {
                producer.beginTransaction();
                for (int i = 0; i < 10; i++) producer.send(new ProducerRecord<>(arguments[1], "v"));
                producer.commitTransaction();
                if (!consumer.poll(Duration.ofMillis(100)).isEmpty()) consumer.commitSync();
            }
        }
        System.exit(0);
    }
}
