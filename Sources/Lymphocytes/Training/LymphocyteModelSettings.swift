internal import Foundation
public import LabelSuperResolution
internal import WholeSlide

/// What was used of one slide in training.
public struct SlideUse: Codable, Equatable, Sendable {
    public var name: String
    public var regions: Int
    public var validationRegions: Int

    public init(name: String, regions: Int, validationRegions: Int) {
        self.name = name
        self.regions = regions
        self.validationRegions = validationRegions
    }
}

/// What `model.json` says of a lymphocyte model beside what every model has.
public struct LymphocyteModelSettings: ModelSettings {
    public static let application = "lymphocytes"

    public var inputEncoding: InputEncoding
    /// µm per pixel of the network's input.
    public var micronsPerPixel: Double
    /// The slides that it was trained on.
    public var slides: [SlideUse]
    /// nil where it was trained in another way than from slides.
    public var sampling: SlideSampling?

    public init(
        inputEncoding: InputEncoding = .rgbStains, micronsPerPixel: Double = LymphocyteTraining.micronsPerPixel,
        slides: [SlideUse] = [], sampling: SlideSampling? = nil
    ) {
        self.inputEncoding = inputEncoding
        self.micronsPerPixel = micronsPerPixel
        self.slides = slides
        self.sampling = sampling
    }

    public func flaw(for architecture: UNetArchitecture) -> String? {
        guard architecture.inputChannels == inputEncoding.channels else {
            return "'\(inputEncoding.rawValue)' has \(inputEncoding.channels) channels, not "
                + "\(architecture.inputChannels)"
        }
        guard SlideScale.possible.contains(micronsPerPixel) else {
            return "'micronsPerPixel' is \(micronsPerPixel): between \(SlideScale.possible.lowerBound) and "
                + "\(SlideScale.possible.upperBound) µm are possible"
        }
        return nil
    }

    /// Format 3 had the settings of slides among those of the method, and one field for λ_hr and λ_self.
    public static func upgraded(_ description: [String: Any], from format: Int) -> [String: Any]? {
        guard format == 3, var training = description["training"] as? [String: Any],
            let criterion = training["criterion"] as? [String: Any],
            let priors = description["priors"] as? [String: Any], let means = priors["means"] as? [Any]
        else { return nil }
        let fineWeight = training["fineWeight"] as? Double ?? 0
        let (coarse, teaching) = upgraded(criterion: criterion, fineWeight: fineWeight)
        var objective: [String: Any] = ["coarseWeight": training["coarseWeight"] ?? 1, "teaching": teaching]
        objective["criterion"] = coarse
        training["objective"] = objective
        if training["selfTraining"] as? Bool == true {
            training["student"] = [
                "weight": fineWeight > 0 ? fineWeight : Teaching.defaultWeight,
                "evidenceWeight": training["evidenceWeight"] ?? 0,
            ]
        }
        training["hintWeight"] = training["pixelWeight"]
        var sampling: [String: Any] = [
            "gridOffset": training["gridOffset"] ?? 0, "isTurned": training["turns"] ?? true,
        ]
        let kept = ["frequencyExponent", "colorLabelFraction", "colorDarkestMultiple", "stainJitter", "fineFraction"]
        for key in kept { sampling[key] = training[key] }
        sampling["studentNoise"] = training["noise"]
        var result = description
        result["format"] = ModelFolder.format
        result["application"] = application
        result["coarseClasses"] = ProbabilityClasses(count: max(1, means.count)).names
        result["training"] = training
        var settings: [String: Any] = ["sampling": sampling]
        for key in ["inputEncoding", "micronsPerPixel", "slides"] { settings[key] = result.removeValue(forKey: key) }
        result["settings"] = settings
        return result
    }

    /// Format 3's criterion, which said too what teaches single pixels.
    private static func upgraded(
        criterion: [String: Any], fineWeight: Double
    ) -> (criterion: [String: Any]?, teaching: [String: Any]) {
        let fine = ["fineLabels": ["weight": fineWeight]]
        if criterion["fineLabels"] != nil { return (nil, fine) }
        if let matching = criterion["fineAndCoarse"] { return (["statisticsMatching": matching], fine) }
        return (criterion, ["none": [String: Any]()])
    }
}

/// The description of a lymphocyte model.
public typealias LymphocyteModelDescription = ModelDescription<LymphocyteModelSettings>
