package lab;

import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/**
 * Provider REGISTRY PROTOCOL PORT MODE METADATA WEIGHT [TAG [VERSION [GROUP]]].
 *
 * <p>REGISTRY as {@code zookeeper://10.99.0.1:2181} or {@code nacos://10.99.0.1:8848}; MODE is interface, instance or
 * all; METADATA is local or remote. The address that it registers is DUBBO_IP_TO_REGISTRY.
 */
public class Provider {
  public static void main(String[] given) throws Exception {
    var application = new ApplicationConfig("greet-app");
    application.setMetadataType(given[4]);
    application.setQosEnable(false);
    application.setRegisterMode(given[3]);
    var registry = new RegistryConfig(given[0]);
    var protocol = new ProtocolConfig(given[1], Integer.parseInt(given[2]));
    var service = new ServiceConfig<GreetService>();
    service.setInterface(GreetService.class);
    service.setRef(name -> "hello " + name + " from " + System.getenv("DUBBO_IP_TO_REGISTRY"));
    service.setWeight(Integer.parseInt(given[5]));
    service.setParameters(Map.of("zone", "z1"));
    if (given.length > 6 && !given[6].isEmpty()) {
      service.setTag(given[6]);
    }
    if (given.length > 7 && !given[7].isEmpty()) {
      service.setVersion(given[7]);
    }
    if (given.length > 8 && !given[8].isEmpty()) {
      service.setGroup(given[8]);
    }
    DubboBootstrap.getInstance().application(application).registry(registry).protocol(protocol).service(service).start();
    System.out.println("READY");
    Thread.currentThread().join();
  }
}
