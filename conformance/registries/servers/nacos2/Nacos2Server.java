import com.alibaba.nacos.core.code.ControllerMethodsCache;
import com.alibaba.nacos.sys.filter.NacosTypeExcludeFilter;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.AutoConfigurationExcludeFilter;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.context.TypeExcludeFilter;
import org.springframework.boot.web.servlet.ServletComponentScan;
import org.springframework.context.annotation.ComponentScan;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.FilterType;
import org.springframework.scheduling.annotation.EnableScheduling;

/** Starts Nacos 2: what its unpublished console module does, without the console. */
@Configuration
@EnableScheduling
@ServletComponentScan("com.alibaba.nacos")
@EnableAutoConfiguration(excludeName = {
  // With these every HTTP path answers 401, while gRPC works.
  "org.springframework.boot.autoconfigure.security.servlet.SecurityAutoConfiguration",
  "org.springframework.boot.actuate.autoconfigure.security.servlet.ManagementWebSecurityAutoConfiguration",
})
@ComponentScan(basePackages = "com.alibaba.nacos", excludeFilters = {
  @ComponentScan.Filter(type = FilterType.CUSTOM, classes = NacosTypeExcludeFilter.class),
  @ComponentScan.Filter(type = FilterType.CUSTOM, classes = TypeExcludeFilter.class),
  @ComponentScan.Filter(type = FilterType.CUSTOM, classes = AutoConfigurationExcludeFilter.class),
})
public class Nacos2Server {
  /** Without these lines every path of v1 answers 501. */
  public Nacos2Server(ControllerMethodsCache methods) {
    methods.initClassMethod("com.alibaba.nacos.core.controller");
    methods.initClassMethod("com.alibaba.nacos.naming.controllers");
    methods.initClassMethod("com.alibaba.nacos.config.server.controller");
  }

  public static void main(String[] arguments) {
    SpringApplication.run(Nacos2Server.class, arguments);
  }
}
