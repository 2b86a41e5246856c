//! Numbers for operators. Handles are looked up once: a lookup for every message would cost more than the message.

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use snapshot::ResourceType;

use crate::Form;

pub(crate) struct Measure {
    pub(crate) streams: [Gauge; 2],
    pub(crate) unknown: Counter,
    pub(crate) refused: Counter,
    pub(crate) stalled: Counter,
    kinds: [Kind; ResourceType::COUNT],
}

pub(crate) struct Kind {
    pub(crate) requests: Counter,
    pub(crate) acks: Counter,
    pub(crate) nacks: Counter,
    pub(crate) responses: Counter,
    pub(crate) resources: Counter,
    pub(crate) removed: Counter,
    pub(crate) bytes: Counter,
    pub(crate) push_seconds: Histogram,
}

impl Measure {
    pub(crate) fn new() -> Self {
        describe_gauge!("isthmus_xds_streams", "xDS streams open");
        describe_counter!("isthmus_xds_requests_total", "Discovery requests received");
        describe_counter!("isthmus_xds_acks_total", "Responses that a client accepted");
        describe_counter!("isthmus_xds_nacks_total", "Responses that a client rejected");
        describe_counter!("isthmus_xds_responses_total", "Discovery responses sent");
        describe_counter!("isthmus_xds_resources_total", "Resources sent");
        describe_counter!("isthmus_xds_removed_total", "Resource names sent as removed");
        describe_counter!("isthmus_xds_bytes_total", "Bytes of discovery responses sent");
        describe_counter!(
            "isthmus_xds_unknown_type_total",
            "Requests for a type that this server does not know"
        );
        describe_counter!(
            "isthmus_xds_refused_total",
            "Streams that were ended with an error by this server"
        );
        describe_counter!(
            "isthmus_xds_stalled_total",
            "Streams whose connection was ended because the client took nothing of what it was sent"
        );
        describe_histogram!(
            "isthmus_xds_push_seconds",
            "From the publication of a change to its ACK by one client"
        );
        Self {
            streams: [Form::Sotw, Form::Delta]
                .map(|form| gauge!("isthmus_xds_streams", "form" => form.name())),
            unknown: counter!("isthmus_xds_unknown_type_total"),
            refused: counter!("isthmus_xds_refused_total"),
            stalled: counter!("isthmus_xds_stalled_total"),
            kinds: ResourceType::ALL.map(|kind| {
                let ty = kind.short();
                Kind {
                    requests: counter!("isthmus_xds_requests_total", "type" => ty),
                    acks: counter!("isthmus_xds_acks_total", "type" => ty),
                    nacks: counter!("isthmus_xds_nacks_total", "type" => ty),
                    responses: counter!("isthmus_xds_responses_total", "type" => ty),
                    resources: counter!("isthmus_xds_resources_total", "type" => ty),
                    removed: counter!("isthmus_xds_removed_total", "type" => ty),
                    bytes: counter!("isthmus_xds_bytes_total", "type" => ty),
                    push_seconds: histogram!("isthmus_xds_push_seconds", "type" => ty),
                }
            }),
        }
    }

    pub(crate) fn kind(&self, kind: ResourceType) -> &Kind {
        &self.kinds[kind.index()]
    }

    pub(crate) fn streams(&self, form: Form) -> &Gauge {
        match form {
            Form::Sotw => &self.streams[0],
            Form::Delta => &self.streams[1],
        }
    }
}
