package bed;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.netflix.eureka.server.EnableEurekaServer;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.web.SecurityFilterChain;

/** A Eureka server; with `bed.password` set, behind basic authentication (user `bed`). */
@SpringBootApplication(proxyBeanMethods = false)
@EnableEurekaServer
public class EurekaServer {
  public static void main(String[] arguments) {
    SpringApplication.run(EurekaServer.class, arguments);
  }

  @Bean
  SecurityFilterChain who(HttpSecurity http, @Value("${bed.password:}") String password) throws Exception {
    http.csrf(csrf -> csrf.disable());
    if (password.isEmpty()) {
      http.authorizeHttpRequests(all -> all.anyRequest().permitAll());
    } else {
      http.authorizeHttpRequests(all -> all.anyRequest().authenticated()).httpBasic(Customizer.withDefaults());
    }
    return http.build();
  }
}
