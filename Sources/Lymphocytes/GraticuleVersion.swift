/// The version of this program, stored with everything that it makes.
public enum GraticuleVersion {
    public static let current = "0.1.0"
}
