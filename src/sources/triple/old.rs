use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ask::{Error, MAX_ANSWER};
use super::hessian::{self, Reader};
use crate::dubbo::Revision;

const SERVICE: &str = "org.apache.dubbo.metadata.MetadataService";
const VERSION: &str = "1.0.0";
const MAGIC: [u8; 2] = [0xda, 0xbb];
/// A request that wants an answer, in Hessian.
const REQUEST: u8 = 0xc2;
/// The bit of a request, and that of a heartbeat.
const IS_REQUEST: u8 = 0x80;
const IS_EVENT: u8 = 0x20;
const HESSIAN: u8 = 2;
const OK: u8 = 20;
const NUMBER: u64 = 1;

/// Over Dubbo's own protocol: a header of 16 bytes, and a body in Hessian.
pub(super) async fn ask(
    host: &str,
    port: u16,
    application: &str,
    revision: &str,
) -> Result<Revision, Error> {
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(&request(application, revision)).await?;
    loop {
        let mut header = [0; 16];
        stream.read_exact(&mut header).await?;
        let [m0, m1, flags, status, number @ .., l0, l1, l2, l3] = header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if [m0, m1] != MAGIC || length > MAX_ANSWER {
            return Err(Error::Malformed);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if flags & (IS_REQUEST | IS_EVENT) != 0 || u64::from_be_bytes(number) != NUMBER {
            continue;
        }
        if status != OK {
            return Err(Error::Refused(format!("status {status}")));
        }
        if flags & 0x1f != HESSIAN {
            return Err(Error::Malformed);
        }
        return answer(&body);
    }
}

fn request(application: &str, revision: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for text in ["2.0.2", SERVICE, VERSION, "getMetadataInfo", "Ljava/lang/String;", revision] {
        hessian::write_text(&mut body, text);
    }
    let attachments =
        [("path", SERVICE), ("interface", SERVICE), ("version", VERSION), ("group", application)];
    body.push(b'H');
    for (key, value) in attachments {
        hessian::write_text(&mut body, key);
        hessian::write_text(&mut body, value);
    }
    body.push(b'Z');
    let mut out = Vec::from(MAGIC);
    out.extend([REQUEST, 0]);
    out.extend(NUMBER.to_be_bytes());
    out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(body);
    out
}

fn answer(body: &[u8]) -> Result<Revision, Error> {
    let mut reader = Reader::new(body);
    let kind = reader.value().ok_or(Error::Malformed)?.as_i64();
    match kind {
        // A value, without and with attachments after it.
        Some(1 | 4) => {
            let value = reader.value().ok_or(Error::Malformed)?;
            Revision::from_value(value).map_err(|_| Error::Malformed)
        }
        Some(0 | 3) => Err(Error::Refused("an exception".into())),
        Some(2 | 5) => Err(Error::Refused("nothing: it has no such revision".into())),
        _ => Err(Error::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Class and object as Java writes a MetadataInfo with one ServiceInfo.
    fn told() -> Vec<u8> {
        let mut out = vec![0x94];
        let text = |out: &mut Vec<u8>, text: &str| hessian::write_text(out, text);
        out.push(b'C');
        text(&mut out, "org.apache.dubbo.metadata.MetadataInfo");
        out.push(0x92);
        text(&mut out, "app");
        text(&mut out, "services");
        out.push(0x60);
        text(&mut out, "greet-app");
        out.push(b'M');
        text(&mut out, "java.util.concurrent.ConcurrentHashMap");
        text(&mut out, "lab.GreetService:dubbo");
        out.push(b'C');
        text(&mut out, "org.apache.dubbo.metadata.MetadataInfo$ServiceInfo");
        out.push(0x95);
        for field in ["name", "group", "protocol", "port", "params"] {
            text(&mut out, field);
        }
        out.push(0x61);
        text(&mut out, "lab.GreetService");
        out.push(b'N');
        text(&mut out, "dubbo");
        // 20880 in three bytes.
        out.extend([0xd4, 0x51, 0x90]);
        out.push(b'H');
        text(&mut out, "weight");
        text(&mut out, "80");
        text(&mut out, "note");
        text(&mut out, &"订".repeat(40));
        out.extend(b"ZZ");
        out.extend(b"HZ");
        out
    }

    #[tokio::test]
    async fn an_answer_of_java_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; request("greet-app", "r1").len()];
            stream.read_exact(&mut asked).await.unwrap();
            // A heartbeat goes first.
            let mut out = vec![0xda, 0xbb, 0xe2, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, b'N'];
            let body = told();
            out.extend([0xda, 0xbb, HESSIAN, OK]);
            out.extend(&asked[4..12]);
            out.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            out.extend(body);
            stream.write_all(&out).await.unwrap();
        });
        let revision = ask("127.0.0.1", port, "greet-app", "r1").await.unwrap();
        assert_eq!(revision.services()[0].to_string(), "lab.GreetService");
        server.await.unwrap();
    }

    #[test]
    fn a_cut_or_foreign_answer_is_an_error() {
        let whole = told();
        for length in 0..whole.len() - 3 {
            assert!(answer(&whole[..length]).is_err(), "{length}");
        }
        assert!(matches!(answer(&[0x92]), Err(Error::Refused(_))));
        assert!(matches!(answer(&[0x90]), Err(Error::Refused(_))));
        assert!(answer(&[0x91, b'N']).is_err());
        // A list that says it is endless, and values that refer to themselves.
        assert!(answer(&[0x94, b'X', b'I', 0x7f, 0xff, 0xff, 0xff]).is_err());
        assert!(answer(&[0x94, b'Q', 0x90]).is_err());
        assert!(answer(&[&[0x94][..], &[0x79; 100_000]].concat()).is_err());
    }
}
