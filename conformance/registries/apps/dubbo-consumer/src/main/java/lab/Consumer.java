package lab;

import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/** Consumer REGISTRY or DIRECT-URL: calls once a second and prints what it got, until it is killed. */
public class Consumer {
  public static void main(String[] given) throws Exception {
    var application = new ApplicationConfig("greet-consumer");
    application.setQosEnable(false);
    var reference = new ReferenceConfig<GreetService>();
    reference.setInterface(GreetService.class);
    reference.setCheck(false);
    var start = DubboBootstrap.getInstance().application(application);
    if (given[0].startsWith("tri:") || given[0].startsWith("dubbo:")) {
      reference.setUrl(given[0]);
      start.registry(new RegistryConfig("N/A"));
    } else {
      start.registry(new RegistryConfig(given[0]));
    }
    start.reference(reference).start();
    for (int turn = 0; ; turn++) {
      try {
        System.out.println("GOT " + reference.get().greet(String.valueOf(turn)));
      } catch (RuntimeException error) {
        System.out.println("FAILED " + error);
      }
      Thread.sleep(1000);
    }
  }
}
