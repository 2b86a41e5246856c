package lab;

import jakarta.servlet.http.HttpServletRequest;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** A Spring Cloud application as it is written every day; it answers with its own address. */
@SpringBootApplication
@RestController
public class EurekaApp {
  public static void main(String[] arguments) {
    SpringApplication.run(EurekaApp.class, arguments);
  }

  @GetMapping("/")
  String who(HttpServletRequest request) {
    return request.getLocalAddr() + ":" + request.getLocalPort();
  }
}
