#!/bin/sh
# Puts a sidecar of Isthmus on this machine. Run it as root, as often as you like.
set -eu
mkdir -p /etc/isthmus/sidecar/ca /etc/isthmus/sidecar/token /etc/sysusers.d
cat >/etc/isthmus/sidecar/bootstrap.json <<'ISTHMUS'
{
  "admin": {
    "address": {
      "socket_address": {
        "address": "127.0.0.1",
        "port_value": 15000
      }
    },
    "ignore_global_conn_limit": true
  },
  "dynamic_resources": {
    "ads_config": {
      "api_type": "DELTA_GRPC",
      "grpc_services": [
        {
          "envoy_grpc": {
            "cluster_name": "isthmus",
            "retry_policy": {
              "retry_back_off": {
                "base_interval": "0.5s",
                "max_interval": "10s"
              }
            }
          }
        }
      ],
      "set_node_on_first_message_only": true,
      "transport_api_version": "V3"
    },
    "cds_config": {
      "ads": {},
      "initial_fetch_timeout": "0s",
      "resource_api_version": "V3"
    },
    "lds_config": {
      "ads": {},
      "initial_fetch_timeout": "0s",
      "resource_api_version": "V3"
    }
  },
  "layered_runtime": {
    "layers": [
      {
        "name": "static",
        "static_layer": {
          "re2": {
            "max_program_size": {
              "error_level": 32768,
              "warn_level": 1000
            }
          }
        }
      },
      {
        "name": "isthmus",
        "rtds_layer": {
          "name": "isthmus",
          "rtds_config": {
            "ads": {},
            "initial_fetch_timeout": "1s",
            "resource_api_version": "V3"
          }
        }
      },
      {
        "admin_layer": {},
        "name": "admin"
      }
    ]
  },
  "node": {
    "cluster": "orders.shop",
    "id": "sidecar~10.0.0.9~orders.shop",
    "metadata": {
      "isthmus": {
        "dns": true,
        "labels": {
          "app": "orders"
        },
        "namespace": "shop",
        "registry": "infra/n1",
        "role": "sidecar",
        "service": "orders"
      }
    }
  },
  "overload_manager": {
    "actions": [
      {
        "name": "envoy.overload_actions.shrink_heap",
        "triggers": [
          {
            "name": "envoy.resource_monitors.fixed_heap",
            "threshold": {
              "value": 0.9
            }
          }
        ]
      },
      {
        "name": "envoy.overload_actions.reduce_timeouts",
        "triggers": [
          {
            "name": "envoy.resource_monitors.fixed_heap",
            "scaled": {
              "saturation_threshold": 0.95,
              "scaling_threshold": 0.85
            }
          }
        ],
        "typed_config": {
          "@type": "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
          "timer_scale_factors": [
            {
              "min_timeout": "2s",
              "timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE"
            }
          ]
        }
      },
      {
        "name": "envoy.overload_actions.disable_http_keepalive",
        "triggers": [
          {
            "name": "envoy.resource_monitors.fixed_heap",
            "threshold": {
              "value": 0.93
            }
          }
        ]
      },
      {
        "name": "envoy.overload_actions.stop_accepting_requests",
        "triggers": [
          {
            "name": "envoy.resource_monitors.fixed_heap",
            "threshold": {
              "value": 0.95
            }
          }
        ]
      },
      {
        "name": "envoy.overload_actions.stop_accepting_connections",
        "triggers": [
          {
            "name": "envoy.resource_monitors.fixed_heap",
            "threshold": {
              "value": 0.98
            }
          }
        ]
      }
    ],
    "refresh_interval": "0.25s",
    "resource_monitors": [
      {
        "name": "envoy.resource_monitors.fixed_heap",
        "typed_config": {
          "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
          "max_heap_size_bytes": 2147483648
        }
      },
      {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
          "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
          "max_active_downstream_connections": 50000
        }
      }
    ]
  },
  "static_resources": {
    "clusters": [
      {
        "connect_timeout": "5s",
        "dns_lookup_family": "V4_PREFERRED",
        "load_assignment": {
          "cluster_name": "isthmus",
          "endpoints": [
            {
              "lb_endpoints": [
                {
                  "endpoint": {
                    "address": {
                      "socket_address": {
                        "address": "isthmus.internal",
                        "port_value": 18000
                      }
                    }
                  }
                }
              ]
            }
          ]
        },
        "name": "isthmus",
        "transport_socket": {
          "name": "envoy.transport_sockets.tls",
          "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {
              "alpn_protocols": [
                "h2"
              ],
              "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_2"
              },
              "validation_context_sds_secret_config": {
                "name": "ca.json",
                "sds_config": {
                  "path_config_source": {
                    "path": "/etc/isthmus/sidecar/ca.json",
                    "watched_directory": {
                      "path": "/etc/isthmus/sidecar/ca"
                    }
                  },
                  "resource_api_version": "V3"
                }
              }
            },
            "sni": "isthmus.internal"
          }
        },
        "type": "STRICT_DNS",
        "typed_extension_protocol_options": {
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {
              "http2_protocol_options": {
                "connection_keepalive": {
                  "interval": "30s",
                  "timeout": "5s"
                }
              }
            },
            "http_filters": [
              {
                "name": "envoy.filters.http.credential_injector",
                "typed_config": {
                  "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
                  "credential": {
                    "name": "envoy.http.injected_credentials.generic",
                    "typed_config": {
                      "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
                      "credential": {
                        "name": "token.json",
                        "sds_config": {
                          "path_config_source": {
                            "path": "/etc/isthmus/sidecar/token.json",
                            "watched_directory": {
                              "path": "/etc/isthmus/sidecar/token"
                            }
                          },
                          "resource_api_version": "V3"
                        }
                      },
                      "header": "authorization",
                      "header_value_prefix": "Bearer "
                    }
                  },
                  "overwrite": true
                }
              },
              {
                "name": "envoy.filters.http.upstream_codec",
                "typed_config": {
                  "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
                }
              }
            ]
          }
        },
        "upstream_connection_options": {
          "tcp_keepalive": {
            "keepalive_interval": 5,
            "keepalive_probes": 3,
            "keepalive_time": 30
          }
        }
      },
      {
        "connect_timeout": "1s",
        "load_assignment": {
          "cluster_name": "isthmus-admin",
          "endpoints": [
            {
              "lb_endpoints": [
                {
                  "endpoint": {
                    "address": {
                      "socket_address": {
                        "address": "127.0.0.1",
                        "port_value": 15000
                      }
                    }
                  }
                }
              ]
            }
          ]
        },
        "name": "isthmus-admin",
        "type": "STATIC"
      }
    ],
    "listeners": [
      {
        "address": {
          "socket_address": {
            "address": "10.0.0.9",
            "port_value": 15090
          }
        },
        "bypass_overload_manager": true,
        "filter_chains": [
          {
            "filters": [
              {
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                  "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                  "http_filters": [
                    {
                      "name": "envoy.filters.http.router",
                      "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                      }
                    }
                  ],
                  "normalize_path": true,
                  "route_config": {
                    "name": "isthmus-stats",
                    "virtual_hosts": [
                      {
                        "domains": [
                          "*"
                        ],
                        "name": "isthmus-stats",
                        "routes": [
                          {
                            "match": {
                              "headers": [
                                {
                                  "name": ":method",
                                  "string_match": {
                                    "exact": "GET"
                                  }
                                }
                              ],
                              "path": "/stats/prometheus"
                            },
                            "route": {
                              "cluster": "isthmus-admin",
                              "timeout": "30s"
                            }
                          }
                        ]
                      }
                    ]
                  },
                  "stat_prefix": "isthmus-stats"
                }
              }
            ]
          }
        ],
        "ignore_global_conn_limit": true,
        "name": "isthmus-stats"
      },
      {
        "address": {
          "socket_address": {
            "address": "10.0.0.9",
            "port_value": 15021
          }
        },
        "bypass_overload_manager": true,
        "filter_chains": [
          {
            "filters": [
              {
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                  "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                  "http_filters": [
                    {
                      "name": "envoy.filters.http.router",
                      "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                      }
                    }
                  ],
                  "normalize_path": true,
                  "route_config": {
                    "name": "isthmus-ready",
                    "virtual_hosts": [
                      {
                        "domains": [
                          "*"
                        ],
                        "name": "isthmus-ready",
                        "routes": [
                          {
                            "match": {
                              "headers": [
                                {
                                  "name": ":method",
                                  "string_match": {
                                    "exact": "GET"
                                  }
                                }
                              ],
                              "path": "/ready"
                            },
                            "route": {
                              "cluster": "isthmus-admin",
                              "timeout": "30s"
                            }
                          }
                        ]
                      }
                    ]
                  },
                  "stat_prefix": "isthmus-ready"
                }
              }
            ]
          }
        ],
        "ignore_global_conn_limit": true,
        "name": "isthmus-ready"
      }
    ]
  },
  "stats_config": {
    "stats_matcher": {
      "exclusion_list": {
        "patterns": [
          {
            "safe_regex": {
              "regex": ".*\\.worker_[0-9]+\\..*"
            }
          },
          {
            "safe_regex": {
              "regex": "(cluster|vhost)\\..*\\.(internal|external)\\.upstream_rq_.*"
            }
          }
        ]
      }
    },
    "use_all_default_tags": true
  }
}
ISTHMUS
cat >/etc/isthmus/sidecar/ca.json <<'ISTHMUS'
{
  "resources": [
    {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
      "name": "ca.json",
      "validation_context": {
        "match_typed_subject_alt_names": [
          {
            "matcher": {
              "exact": "isthmus.internal"
            },
            "san_type": "DNS"
          }
        ],
        "trusted_ca": {
          "filename": "/etc/isthmus/sidecar/ca/ca.crt"
        },
        "watched_directory": {
          "path": "/etc/isthmus/sidecar/ca"
        }
      }
    }
  ]
}
ISTHMUS
cat >/etc/isthmus/sidecar/ca/ca.crt <<'ISTHMUS'
-----BEGIN CERTIFICATE-----
(a CA)
-----END CERTIFICATE-----
ISTHMUS
cat >/etc/isthmus/sidecar/capture.nft <<'ISTHMUS'
table inet isthmus {}
delete table inet isthmus
table inet isthmus {
  chain inbound {
    tcp dport 15020 return
    tcp dport 15021 return
    tcp dport 15090 return
    tcp dport 22 return
    meta l4proto tcp redirect to :15006
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    meta l4proto tcp jump inbound
  }
  chain outbound {
    type nat hook output priority -100; policy accept;
    oifname "lo" ip saddr 127.0.0.6/32 return
    oifname "lo" ip6 saddr ::6/128 return
    oifname "lo" meta skuid 1337 ip daddr != 127.0.0.0/8 meta l4proto tcp jump inbound
    oifname "lo" meta skuid 1337 ip6 daddr != ::1/128 meta l4proto tcp jump inbound
    meta skuid 1337 return
    ip daddr 127.0.0.53/32 udp dport 53 redirect to :15053
    ip daddr 127.0.0.53/32 tcp dport 53 return
    oifname "lo" return
    meta l4proto tcp redirect to :15001
  }
  chain raw-outbound {
    type filter hook output priority -300; policy accept;
    meta skuid 1337 ip daddr 127.0.0.53/32 udp dport 53 ct zone set 1
  }
  chain raw-inbound {
    type filter hook prerouting priority -300; policy accept;
    ip saddr 127.0.0.53/32 udp sport 53 ct zone set 1
  }
}
ISTHMUS
cat >/etc/isthmus/sidecar/release.nft <<'ISTHMUS'
table inet isthmus {}
delete table inet isthmus
ISTHMUS
cat >/etc/isthmus/sidecar/token.json <<'ISTHMUS'
{
  "resources": [
    {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
      "generic_secret": {
        "secret": {
          "filename": "/etc/isthmus/sidecar/token/token",
          "watched_directory": {
            "path": "/etc/isthmus/sidecar/token"
          }
        }
      },
      "name": "token.json"
    }
  ]
}
ISTHMUS
cat >/etc/systemd/system/isthmus-sidecar.service <<'ISTHMUS'
[Unit]
Description=Sidecar of Isthmus
Wants=network-online.target
After=network-online.target

[Service]
User=isthmus-proxy
Group=isthmus-proxy
# As root, before Envoy: it cannot listen on what is not there, and nothing may pass by it.
ExecStartPre=+-/sbin/ip -6 address replace ::6/128 dev lo nodad preferred_lft 0
ExecStartPre=+/usr/sbin/nft -f /etc/isthmus/sidecar/capture.nft
ExecStart=/usr/local/bin/envoy -c /etc/isthmus/sidecar/bootstrap.json --log-level warn --concurrency 2 --disable-hot-restart
# Without a sidecar, the machine is as it was.
ExecStopPost=+/usr/sbin/nft -f /etc/isthmus/sidecar/release.nft
Restart=always
RestartSec=1
LimitNOFILE=1048576
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
ISTHMUS
cat >/etc/sysusers.d/isthmus-proxy.conf <<'ISTHMUS'
u isthmus-proxy 1337 "Envoy of Isthmus"
ISTHMUS
systemd-sysusers
chown -R isthmus-proxy: /etc/isthmus/sidecar/token
chmod 700 /etc/isthmus/sidecar/token
systemctl daemon-reload
echo 'put the token of this workload into /etc/isthmus/sidecar/token/token (`isthmus token join` makes it), readable by isthmus-proxy only,'
echo 'then: systemctl enable --now isthmus-sidecar.service'
