//! The reports by their names.

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Everything: events, runs, edges, versions, judgements, deployments.
    Full,
    /// The models, who answers for each, what they depend on, and who validated them.
    ModelInventory,
    /// What models were trained on, down to raw data.
    TrainingData {
        /// A question that selects models; `None`: all.
        model: Option<String>,
    },
    /// What was live where, and who let it in on what evidence.
    Deployments,
    /// Models without a passing audit since their last training.
    Unaudited,
    /// What the erasure of a subject concerns.
    ErasureImpact {
        /// The pseudonym of the subject.
        subject: String,
    },
    /// Versions, data, steps, tests, changes and gaps of models.
    TechnicalDocumentation {
        /// A question that selects models; `None`: all.
        model: Option<String>,
    },
    /// What data is for, and who used it.
    RecordsOfProcessing,
    /// The answers to questions.
    Query(Vec<String>),
}

impl Report {
    /// The names, with what each report has.
    pub const NAMES: &'static [(&'static str, &'static str)] = &[
        ("full", "events, runs, edges, versions, audits, evaluations, deployments and everything else"),
        ("model-inventory", "each model: owner, purpose, tier, models above and below it, last validation and by whom"),
        ("training-data", "what each version of a model was trained on, down to raw data"),
        ("deployments", "what was live where and when, who let it in, on what evidence"),
        ("unaudited", "models without a passing audit since their last training"),
        ("erasure-impact", "what holds values of a subject, and everything that derives from it"),
        ("technical-documentation", "versions, data, steps, tests, changes and gaps of models"),
        ("records-of-processing", "what data is for, and which jobs used it"),
    ];

    /// A report of a name, with what it may be asked for; `None` for another name, and for a subject that is missing.
    pub fn named(name: &str, model: Option<String>, subject: Option<String>) -> Option<Self> {
        Some(match name {
            "full" => Self::Full,
            "model-inventory" => Self::ModelInventory,
            "training-data" => Self::TrainingData { model },
            "deployments" => Self::Deployments,
            "unaudited" => Self::Unaudited,
            "erasure-impact" => Self::ErasureImpact { subject: subject? },
            "technical-documentation" => Self::TechnicalDocumentation { model },
            "records-of-processing" => Self::RecordsOfProcessing,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ModelInventory => "model-inventory",
            Self::TrainingData { .. } => "training-data",
            Self::Deployments => "deployments",
            Self::Unaudited => "unaudited",
            Self::ErasureImpact { .. } => "erasure-impact",
            Self::TechnicalDocumentation { .. } => "technical-documentation",
            Self::RecordsOfProcessing => "records-of-processing",
            Self::Query(_) => "query",
        }
    }

    /// The tables that each pack of a report has; `None` for another name. The answers to questions have their own.
    pub fn tables_of(name: &str) -> Option<&'static [&'static str]> {
        Some(match name {
            "full" => &[
                "approvals",
                "audits",
                "copies",
                "deployments",
                "edges",
                "erasures",
                "evaluations",
                "events",
                "measurements",
                "runs",
                "unaudited",
                "versions",
            ],
            "model-inventory" => &["audits", "deployments", "evaluations", "models"],
            "training-data" => &["training_data"],
            "deployments" => &["approvals", "audits", "deployments", "erasures"],
            "unaudited" => &["audits", "unaudited"],
            "erasure-impact" => &["erasure_impact", "subject_events"],
            "technical-documentation" => &["changes", "gaps", "steps", "tests", "training_data", "version_chain"],
            "records-of-processing" => &["processing"],
            _ => return None,
        })
    }

    /// What else was asked for, as pairs for the manifest.
    pub(super) fn arguments(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::TrainingData { model: Some(text) } | Self::TechnicalDocumentation { model: Some(text) } => {
                vec![("model", text)]
            }
            Self::ErasureImpact { subject } => vec![("subject", subject)],
            _ => Vec::new(),
        }
    }
}
