public import LabelSuperResolution

extension LymphocyteModelDescription {
    /// What a heatmap's classes lead to expect: the model's own priors where it was trained from heatmaps. One that was trained from
    /// counted squares alone has strata of counts for classes, which say nothing of a heatmap: then the default curve.
    public var heatmapPriors: LabelPriors {
        get throws { try LymphocyteModelDescription.heatmapPriors(priors, coarseClasses: coarseClasses) }
    }

    /// The same from parts of a description; without names of classes it is one of an old format, which had heatmaps alone.
    static func heatmapPriors(_ priors: LabelPriors, coarseClasses: [String]?) throws -> LabelPriors {
        let isOfHeatmap = coarseClasses.map { $0 == ProbabilityClasses(count: max(1, $0.count)).names } ?? true
        guard !isOfHeatmap, let label = priors.labels.last else { return priors }
        return try LabelPriors.defaultCurve(label: label, classCount: ProbabilityClasses().count)
    }
}
