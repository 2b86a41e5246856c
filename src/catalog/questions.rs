use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::{
    DnsResolution, Host, Instance, MeshService, NamespacedName, Question, QuestionKind,
    RegistryServiceId, SourceFrom,
};

/// Who wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    MeshService(NamespacedName),
    Service(RegistryServiceId),
}

/// What is to be asked of the DNS, kept as things come and go.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    by: HashMap<Asker, BTreeSet<Question>>,
    counts: BTreeMap<Question, usize>,
    all: Arc<BTreeSet<Question>>,
}

impl Questions {
    /// Returns what nobody wants to know any more.
    pub(crate) fn set(&mut self, asker: Asker, wanted: &BTreeSet<Question>) -> Vec<Question> {
        let old = if wanted.is_empty() {
            self.by.remove(&asker).unwrap_or_default()
        } else {
            for question in wanted {
                *self.counts.entry(question.clone()).or_default() += 1;
            }
            self.by.insert(asker, wanted.clone()).unwrap_or_default()
        };
        let mut gone = Vec::new();
        for question in &old {
            if let Some(count) = self.counts.get_mut(question) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(question);
                    gone.push(question.clone());
                }
            }
        }
        if old != *wanted {
            self.all = Arc::new(self.counts.keys().cloned().collect());
        }
        gone
    }

    pub(crate) fn wants(&self, question: &Question) -> bool {
        self.counts.contains_key(question)
    }

    pub(crate) fn all(&self) -> &Arc<BTreeSet<Question>> {
        &self.all
    }
}

pub(crate) fn of_mesh_service(service: &MeshService) -> BTreeSet<Question> {
    let questions = service.sources.iter().filter_map(|source| match &source.from {
        SourceFrom::Dns { name, kind, resolution: DnsResolution::Endpoints, .. } => {
            Some(Question { name: name.clone(), kind: *kind })
        }
        _ => None,
    });
    questions.collect()
}

/// Hosts of instances that are names.
pub(crate) fn of_instances(instances: &[Arc<Instance>]) -> BTreeSet<Question> {
    let names = instances.iter().filter_map(|instance| match &instance.host {
        Host::Name(name) => Some(Question { name: name.clone(), kind: QuestionKind::Address }),
        Host::Ip(_) => None,
    });
    names.collect()
}
