import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.common.metrics.*;
import org.apache.kafka.server.authorizer.AuthorizableRequestContext;
import org.apache.kafka.server.telemetry.*;

/** A broker's metrics reporter that takes clients' metrics (KIP-714): each push is a file in `test.telemetry.dir`, CLIENT ID@INSTANCE ID@NUMBER@last or more. */
public class TelemetryReceiver implements MetricsReporter, ClientTelemetry, ClientTelemetryReceiver {
    private static final AtomicInteger pushes = new AtomicInteger();
    private Path dir;

    @Override
    public void configure(Map<String, ?> configs) {
        dir = Path.of((String) configs.get("test.telemetry.dir"));
    }

    @Override
    public ClientTelemetryReceiver clientReceiver() {
        return this;
    }

    @Override
    public void exportMetrics(AuthorizableRequestContext context, ClientTelemetryPayload payload) {
        ByteBuffer data = payload.data().duplicate();
        byte[] bytes = new byte[data.remaining()];
        data.get(bytes);
        String name = String.join("@", context.clientId(), payload.clientInstanceId().toString(),
            String.valueOf(pushes.getAndIncrement()), payload.isTerminating() ? "last" : "more");
        try {
            Files.write(dir.resolve(name + ".part"), bytes);
            Files.move(dir.resolve(name + ".part"), dir.resolve(name + ".otlp"));
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Override
    public void init(List<KafkaMetric> metrics) { }

    @Override
    public void metricChange(KafkaMetric metric) { }

    @Override
    public void metricRemoval(KafkaMetric metric) { }

    @Override
    public void close() { }
}
